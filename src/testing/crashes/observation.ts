/** What can be seen of an actor after a step, from its database and from the world: what a crash must not change. */
import { LiveActor } from '../../actor/live-actor.ts';
import { onlooker } from '../../actor/onlooker.ts';
import { formatInstant } from '../../clock.ts';
import { InvalidArgumentError } from '../../errors.ts';
import type { AnyFlow } from '../../flow/flow.ts';
import type { ActorHandle } from '../../runtime/handle.ts';
import { plain } from '../kit/plain.ts';
import type { Stubs } from '../kit/stubs.ts';
import type { MortalDatabase } from './faults.ts';

/** What is seen after a step. All of it is plain data. */
export interface Observation {
  /** The state's value; for logic without states, its status. */
  state: unknown;
  /** The row's: active, done, error, stopped, quarantined. */
  status: string;
  context: unknown;
  output?: unknown;
  error?: unknown;
  /** Children, likewise. */
  children?: unknown;
  /** Pending deadlines, to the millisecond. */
  deadlines: unknown;
  /** Messages and events to other actors that came into the outbox in this step, each by its idempotency key. */
  messages: unknown;
  /** The turns of this step, as the journal has them: event, from, to, when; and what was emitted beside messages. */
  turns: unknown;
  /** Rows that the flow keeps in the application's tables. */
  rows?: unknown;
  /** Invocations that wait for a result. */
  waiting: unknown;
  /** What `watch` says of the world. */
  world?: unknown;
}

export type Aspect = keyof Observation;

/** What an {@link Observer} looks at. */
export interface Observed {
  database: MortalDatabase;
  stubs: Stubs;
  flow: AnyFlow;
  participantId: string;
  /** The actor in memory, where there is one that nobody has restored yet; else its row is looked at, and nothing is woken. */
  actor: ActorHandle | undefined;
  /** Tables of the application that the flow writes. */
  tables: ReadonlySet<string>;
  watch: (() => unknown) | undefined;
}

const inMemory = async (actor: ActorHandle) => ({ snapshot: await actor.getSnapshot(), timers: await actor.timers() });

interface OutboxLine {
  id: number;
  idempotency_key: string;
  recipient: string;
  payload: string;
}
interface TurnLine {
  id: number;
  flow_type: string;
  participant_id: string;
  event_type: string;
  from_state: string | null;
  to_state: string;
  at: number;
  due_at: number | null;
  text: string | null;
  note: string | null;
}

/** The mark in the journal by which a sender sees whether its event was applied. */
export const markOf = (step: number) => `step ${step}`;
const MARK = /^step \d+(; )?/;

/** Looks at one run, step by step. */
export class Observer {
  #message = 0;
  #turn = 0;

  async look({ database, stubs, flow, participantId, actor, tables, watch }: Observed): Promise<Observation> {
    const address = { flowType: flow.type, participantId };
    const rowsOfActor = await database.read<{ status: string; state_data: string }>(
      'SELECT status, state_data FROM flow_states WHERE participant_id = ? AND flow_type = ?',
      [participantId, flow.type],
    );
    const { status, state_data: text } = rowsOfActor[0]!;
    const live = actor ? await inMemory(actor) : LiveActor.restore(flow.logic, text, onlooker(address));
    const { value, ...snapshot } = shown(live.snapshot);
    const timers = status === 'active' ? live.timers : [];
    const attended = stubs.waiting().filter((order) => stubs.isAttended(order));
    const rows: Record<string, unknown> = {};
    for (const table of tables) rows[table] = await rowsOf(database, table);
    return {
      state: value ?? status,
      status,
      ...snapshot,
      deadlines: timers.map(({ event, dueAt, source, target }) => ({
        event: plain(event),
        dueAt: formatInstant(dueAt),
        ...(source && { source }),
        ...(target && { target }),
      })),
      messages: await this.#messages(database),
      turns: await this.#turns(database),
      ...(tables.size > 0 && { rows }),
      waiting: attended.map(({ name, input, idempotencyKey }) => ({ name, input: plain(input), idempotencyKey })),
      ...(watch && { world: plain(watch()) }),
    } as Observation;
  }

  async #messages(database: MortalDatabase) {
    const lines = await database.read<OutboxLine>(
      'SELECT id, idempotency_key, recipient, payload FROM outbox_messages WHERE id > ? ORDER BY id',
      [this.#message],
    );
    this.#message = lines.at(-1)?.id ?? this.#message;
    return lines.map(({ idempotency_key: key, recipient: to, payload }) => ({ to, ...JSON.parse(payload), key }));
  }

  async #turns(database: MortalDatabase) {
    const lines = await database.read<TurnLine>(
      `SELECT id, flow_type, participant_id, event_type, from_state, to_state, at, due_at, text, note
       FROM flow_journal WHERE id > ? ORDER BY id`,
      [this.#turn],
    );
    this.#turn = lines.at(-1)?.id ?? this.#turn;
    // An observable that is subscribed to again may give its values again; what they lead to counts.
    const counting = lines.filter(({ event_type }) => !event_type.startsWith('xstate.observable.'));
    return counting.map((line) => ({
      event: line.event_type,
      from: line.from_state,
      to: line.to_state,
      at: formatInstant(line.at),
      ...(line.due_at !== null && { dueAt: formatInstant(line.due_at) }),
      ...(line.text !== null && { text: line.text }),
      ...noteOf(line.note),
    }));
  }
}

function noteOf(note: string | null) {
  const rest = note?.replace(MARK, '');
  return rest ? { note: rest } : {};
}

interface Shown {
  status?: string;
  value?: unknown;
  context?: unknown;
  output?: unknown;
  error?: unknown;
  children?: Record<string, { getSnapshot(): Shown } | undefined>;
}

/** What counts of a snapshot. */
function shown(snapshot: Shown): { value?: unknown; context?: unknown; children?: unknown } {
  const children = Object.entries(snapshot.children ?? {}).flatMap(([id, child]) => {
    const inner = child?.getSnapshot();
    return inner
      ? [[id, { ...(inner.value === undefined && { status: inner.status }), ...shown(inner) }] as const]
      : [];
  });
  return {
    ...(snapshot.value !== undefined && { value: snapshot.value }),
    // An observable that has given nothing yet has the key or not, depending on whether it was restored.
    ...(snapshot.context !== undefined && { context: plain(snapshot.context) }),
    ...(snapshot.output !== undefined && { output: plain(snapshot.output) }),
    ...(snapshot.error !== undefined && { error: plain(snapshot.error) }),
    ...(children.length > 0 && { children: Object.fromEntries(children) }),
  };
}

/** @throws {InvalidArgumentError} there is no such table */
async function rowsOf(database: MortalDatabase, table: string): Promise<object[]> {
  const [known] = await database.read("SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?", [
    table,
  ]);
  if (known) return database.read(`SELECT * FROM "${table}"`);
  throw new InvalidArgumentError(
    `The flow records into a table '${table}', which the database of the test has not. ` +
      `Let the test make it: { tables: (knex) => knex.schema.createTable('${table}', (table) => { … }) }.`,
  );
}
