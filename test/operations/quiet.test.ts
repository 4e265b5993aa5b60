import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { assign, emit, fromPromise, setup } from 'xstate';
import { createRuntime, defineFlow, type Runtime, SimulatedClock } from '../../src/index.ts';

let asked = 0;
const flow = defineFlow({
  type: 'watched',
  version: 1,
  logic: setup({
    types: {
      context: {} as { log: string[] },
      events: {} as { type: 'look up' } | { type: 'heard'; what: string },
      emitted: {} as { type: 'message'; text: string },
    },
    actors: {
      lookUp: fromPromise(async () => {
        asked++;
        return new Promise<string>(() => {});
      }),
    },
  }).createMachine({
    context: { log: [] },
    initial: 'waiting',
    on: {
      heard: {
        actions: [
          assign({ log: ({ context, event }) => [...context.log, event.what] }),
          emit(({ event }) => ({ type: 'message', text: `heard ${event.what}` })),
        ],
      },
      'look up': '.looking',
    },
    states: {
      waiting: { after: { 60000: { target: 'reminded', actions: emit({ type: 'message', text: 'still there?' }) } } },
      reminded: {},
      looking: { invoke: { src: 'lookUp' } },
    },
  }),
  receive: ({ message }) => ({ type: 'heard', what: message.text }),
});

let knex: Knex;
let clock: SimulatedClock;
let sent: string[] = [];
const open: Runtime[] = [];
beforeEach(() => {
  asked = 0;
  sent = [];
  clock = new SimulatedClock(0);
  knex = createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true, pool: { min: 1, max: 1 } });
});
afterEach(async () => {
  for (const runtime of open.splice(0)) await runtime.stop();
  await knex.destroy();
});

const begin = async (mode?: { quiet: boolean }) => {
  const runtime = createRuntime({
    database: knex,
    flows: [flow],
    clock,
    transport: { send: ({ text }) => void sent.push(text) },
  });
  await runtime.start(mode);
  open.push(runtime);
  return runtime;
};
const settle = async (runtime: Runtime) => {
  for (let quiet = 0; quiet < 10; quiet = runtime.idle ? quiet + 1 : 0) {
    clock.moveTo(clock.now());
    await new Promise(setImmediate);
  }
};
const everything = () => Promise.all([knex('flow_states'), knex('outbox_messages'), knex('flow_journal')]);

it('a quiet runtime does nothing of itself, and what it is told leaves the rest to the next process', async () => {
  const first = await begin();
  await first.spawn(flow, 'ada', { phoneNumber: '+15551234567' });
  const looking = await first.spawn(flow, 'bob');
  await looking.send({ type: 'look up' });
  await settle(first);
  expect(asked).toBe(1);
  await first.abandon();
  await knex('dead_letters').insert({
    participant_id: 'ada',
    flow_type: 'watched',
    kind: 'message',
    event: '{"channel":"sms","id":"m1","from":"+15551234567","text":"hello"}',
    error: 'it broke',
    at: 0,
  });
  await knex('outbox_messages').insert({
    id: 1,
    recipient: '+15551234567',
    kind: 'message',
    payload: '{"type":"message","text":"waiting"}',
    status: 'pending',
    attempts: 0,
    idempotency_key: 'k',
    created_at: 0,
    updated_at: 0,
  });
  clock.moveTo(3_600_000); // the deadline has passed long ago

  const before = await everything();
  const quiet = await begin({ quiet: true });
  await settle(quiet);
  clock.moveTo(7_200_000);
  await settle(quiet);
  expect((await quiet.actor(flow, 'ada').getSnapshot()).value).toBe('waiting');
  expect((await quiet.actor(flow, 'bob').getSnapshot()).value).toBe('looking');
  expect(await everything()).toEqual(before);

  // A command to the actor itself does not overtake its deadline.
  expect(await quiet.deadLetters.retry(1)).toEqual({ handled: true, state: 'reminded' });
  await settle(quiet);
  expect([asked, sent]).toEqual([1, []]);
  expect(await knex('outbox_messages').orderBy('id').pluck('status')).toEqual(['pending', 'pending', 'pending']);
  await quiet.stop();

  const next = await begin();
  await settle(next);
  expect(sent).toEqual(['waiting', 'still there?', 'heard hello']);
  expect(asked).toBe(2);
});
