/**
 * A process that buys, again and again, each time in a transaction: the order's row, a turn of the counter with a message,
 * and the birth of an actor with a deadline. It kills itself where it is told to, and tells how far it came.
 */
import { writeSync } from 'node:fs';
import type { Knex } from 'knex';
import { emit, setup } from 'xstate';
import { createRuntime, defineFlow, type Transaction } from '../../src/index.ts';
import { counter } from '../guarantees/machines.ts';
import type { Errand, Moment } from './purchases.ts';

const order = defineFlow({
  type: 'order',
  version: 1,
  logic: setup({
    types: { context: {} as { id: string }, input: {} as { id: string } },
  }).createMachine({
    context: ({ input }) => input,
    initial: 'paid',
    states: {
      paid: { after: { 20: 'late' } },
      late: {
        type: 'final',
        entry: emit(({ context }) => ({ type: 'message', text: `late ${context.id}`, to: PHONE })),
      },
    },
  }),
});
const PHONE = '+15551234000';
/** Every so manyth purchase the application changes its mind, and rolls back. */
const UNDONE = 4;

const { file, way, from, death }: Errand = JSON.parse(process.argv[2]!);
const tell = (what: string) => void writeSync(1, `${what}\n`);
let purchase = 0;
/** Counts down to the death, wherever the process is by then. */
const reach = (moment: Moment) => {
  if (!death || moment !== death.at || purchase < death.nth) return;
  const until = performance.now() + death.after;
  const look = () => (performance.now() >= until ? process.kill(process.pid, 'SIGKILL') : setImmediate(look));
  look();
};

const runtime = createRuntime({
  database: `sqlite:${file}`,
  flows: [counter, order],
  transport: { send: ({ text }) => tell(`sent ${text}`) },
});
await runtime.start();
runtime.on('turn', ({ event }) => event === 'say' && reach('after'));
if (death) for (;;) await buy();
// Until all that was promised has come true.
const open = () => runtime.knex('flow_states').where({ flow_type: 'order', status: 'active' }).first('id');
const unsent = () => runtime.knex('outbox_messages').whereNot({ status: 'sent' }).first('id');
while (!runtime.idle || (await open()) || (await unsent())) await new Promise(setImmediate);
await runtime.stop();

async function buy(): Promise<void> {
  purchase++;
  const number = from + purchase - 1;
  const id = `o_${number}`;
  // Ordinary traffic beside it.
  void runtime.actor(counter, 'p_1').send({ type: 'inc' });
  const body = async (trx: Transaction) => {
    reach('inside');
    await trx('orders').insert({ id });
    await trx.actor(counter, 'p_1').send({ type: 'say', text: id, to: PHONE }, { note: id });
    await trx.spawn(order, id, { input: { id } });
    if (number % UNDONE === 0) throw new Error('the application changed its mind');
    tell(`asked ${id}`);
    reach('commit');
  };
  const join = async (trx: Knex.Transaction) => body(await runtime.join(trx));
  const byHand = async () => {
    const trx = await runtime.knex.transaction();
    await join(trx).catch(async (error) => {
      await trx.rollback();
      throw error;
    });
    await trx.commit();
  };
  const ways = {
    transaction: () => runtime.transaction(body),
    join: () => runtime.knex.transaction(join),
    'join by hand': byHand,
  };
  await ways[way]().then(
    () => tell(`told ${id}`),
    (error) => {
      if (number % UNDONE !== 0) throw error;
    },
  );
}
