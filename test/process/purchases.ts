/**
 * The purchases: a process buys in transactions that its rows and its actors share, and is killed again and again, before a
 * commit, in it, and after it. Each order must then be there with all that belongs to it, or nothing of it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import createKnex, { type Knex } from 'knex';
import { createRuntime } from '../../src/index.ts';
import { counter } from '../guarantees/machines.ts';
import { Chance } from '../simulation/chance.ts';

/** How the transaction comes about: the runtime opens it, or it joins one, which ends with its callback, or by hand. */
const WAYS = ['transaction', 'join', 'join by hand'] as const;
type Way = (typeof WAYS)[number];
/** In the callback; when the commit begins; when a turn of it is told of, before what it asks for happens. */
const MOMENTS = ['inside', 'commit', 'after'] as const;
export type Moment = (typeof MOMENTS)[number];

/** What a process is told. */
export interface Errand {
  file: string;
  way: Way;
  /** The number of its first order. */
  from: number;
  /** When it dies: so many ms after a moment of its nth purchase, or of a later one. Without it, it buys nothing, and ends. */
  death?: { at: Moment; nth: number; after: number };
}

export interface PurchasesReport {
  kills: number;
  /** Orders of whose commit nobody had been told, by what became of them. */
  untold: { undone: number; whole: number };
  /** Orders whose commit was told. */
  told: number;
  /** What is wrong; empty when every promise held. */
  violations: string[];
}

/** One database, and the processes that buy on it. */
class Purchases {
  readonly #folder = mkdtempSync(join(tmpdir(), 'perdure-'));
  readonly #file = join(this.#folder, 'study.db');
  readonly #heard = { asked: new Set<string>(), told: new Set<string>(), sent: new Set<string>() };
  #next = 1;
  readonly report: PurchasesReport = { kills: 0, untold: { undone: 0, whole: 0 }, told: 0, violations: [] };

  static async open(): Promise<Purchases> {
    const purchases = new Purchases();
    const runtime = createRuntime({ database: `sqlite:${purchases.#file}`, flows: [counter] });
    await runtime.start();
    await runtime.knex.schema.createTable('orders', (table) => table.text('id').primary());
    await runtime.spawn(counter, 'p_1');
    await runtime.stop();
    return purchases;
  }

  /** Lets a process buy until it dies, and looks at what it left. */
  async kill(way: Way, death: NonNullable<Errand['death']>): Promise<void> {
    const from = this.#next;
    const end = await this.#run({ file: this.#file, way, from, death });
    if (end !== 'SIGKILL') throw new Error(`The process was to be killed, and ended with ${end}.`);
    this.report.kills++;
    this.#next = from + death.nth + 20; // it may have gone on for a little while
    const knex = createKnex({ client: 'sqlite3', connection: { filename: this.#file }, useNullAsDefault: true });
    await this.#audit(knex, from).finally(() => knex.destroy());
  }

  /** Lets a last process come to rest; then all that was committed must have come true, and nothing else. */
  async rest(): Promise<void> {
    const end = await this.#run({ file: this.#file, way: 'join', from: this.#next });
    if (end !== 0) throw new Error(`The last process ended with ${end}.`);
    const knex = createKnex({ client: 'sqlite3', connection: { filename: this.#file }, useNullAsDefault: true });
    try {
      const orders = new Set<string>(await knex('orders').pluck('id'));
      const late = await knex('flow_journal').whereNotNull('due_at').pluck('participant_id');
      if (late.length !== orders.size || late.some((id) => !orders.has(id)))
        this.report.violations.push(`${orders.size} orders, and the deadlines of ${late.sort().join(', ')} fired`);
      const sent = [...orders].flatMap((id) => [id, `late ${id}`]);
      for (const each of sent) if (!this.#heard.sent.has(each)) this.report.violations.push(`'${each}' was never sent`);
      for (const each of this.#heard.sent)
        if (!sent.includes(each)) this.report.violations.push(`'${each}' was sent, and there is no such order`);
    } finally {
      await knex.destroy();
    }
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** The signal or the code that it ended with. */
  async #run(errand: Errand): Promise<unknown> {
    const script = new URL('purchase.ts', import.meta.url).pathname;
    const options = ['--import', 'tsx', script, JSON.stringify(errand)];
    const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000 });
    const [said, [code, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    for (const line of said.split('\n').slice(0, -1)) {
      const [verb, ...what] = line.split(' ');
      this.#heard[verb as 'sent'].add(what.join(' '));
    }
    return signal ?? code;
  }

  async #audit(knex: Knex, from: number): Promise<void> {
    const { report } = this;
    for (let number = from; number < this.#next; number++) {
      const id = `o_${number}`;
      const actor = { flow_type: 'order', participant_id: id };
      const fired = await knex('flow_journal').where(actor).whereNotNull('due_at').first('id');
      const row = await knex('flow_states').where(actor).first('next_due_at');
      const parts = {
        'its row': await knex('orders').where({ id }).first(),
        "the counter's turn": await knex('flow_journal').where({ participant_id: 'p_1', note: id }).first('id'),
        'its message': await knex('outbox_messages').whereLike('payload', `%"${id}"%`).first('id'),
        'its actor': row,
        'its deadline': row?.next_due_at ?? fired,
      };
      const there = Object.entries(parts).flatMap(([name, part]) => (part ? [name] : []));
      const whole = there.length === Object.keys(parts).length;
      const [asked, told] = [this.#heard.asked.has(id), this.#heard.told.has(id)];
      if (there.length > 0 && !whole) report.violations.push(`of ${id} there is only ${there.join(', ')}`);
      if (told && !whole) report.violations.push(`${id} was told to be committed, and is not there`);
      if (!asked && there.length > 0) report.violations.push(`${id} is there, and its commit was never asked for`);
      if (told) report.told++;
      else if (asked) report.untold[whole ? 'whole' : 'undone']++;
    }
  }
}

/** @param seed decides how long after its moment each process dies, and at which of its purchases */
export async function buyAndDie({ kills, seed }: { kills: number; seed: number }): Promise<PurchasesReport> {
  const chance = new Chance(seed);
  const purchases = await Purchases.open();
  try {
    for (let i = 0; i < kills; i++) {
      const after = chance.pick([0, chance.number(), 5 * chance.number()]);
      const way = WAYS[Math.floor(i / MOMENTS.length) % WAYS.length]!;
      await purchases.kill(way, { at: MOMENTS[i % MOMENTS.length]!, nth: chance.between(1, 3), after });
    }
    await purchases.rest();
    return purchases.report;
  } finally {
    purchases.close();
  }
}
