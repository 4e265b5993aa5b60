/** A stub plays a service that a flow invokes, and like one it outlives the runtime. */
import { afterEach, describe, expect, it } from 'vitest';
import { assign, createMachine, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime, type TestRuntimeOptions } from '../../src/testing/index.ts';

const booking = setup({
  types: {} as {
    events: { type: 'book' } | { type: 'giveUp' };
    context: { nights: number; rooms: number[]; error: string | null };
    input: { nights: number };
  },
  actors: {
    bookRoom: fromPromise<{ room: number }, { nights: number }>(async () => ({ room: 1 })),
    other: createMachine({}),
  },
}).createMachine({
  context: ({ input }) => ({ nights: input.nights, rooms: [], error: null }),
  initial: 'idle',
  states: {
    idle: { on: { book: 'booking' } },
    booking: {
      invoke: {
        src: 'bookRoom',
        input: ({ context }) => ({ nights: context.nights }),
        onDone: {
          target: 'idle',
          actions: assign({ rooms: ({ context, event }) => [...context.rooms, event.output.room] }),
        },
        onError: { target: 'idle', actions: assign({ error: ({ event }) => (event.error as Error).message }) },
      },
      on: { giveUp: 'idle' },
    },
  },
});
const flow = defineFlow({ type: 'booking', version: 1, logic: booking });
const retrying = defineFlow({
  type: 'retrying',
  version: 1,
  logic: booking,
  invocations: { bookRoom: { attempts: 3, timeout: '1m', backoff: { initial: '1s' } } },
});

let test: TestRuntime;
afterEach(() => test.stop());

async function begin(options: Partial<TestRuntimeOptions> = {}) {
  test = await createTestRuntime({ flows: [flow, retrying], ...options });
  return test.spawn(flow, 'p_1', { input: { nights: 2 } });
}
const context = async (of = flow) => (await test.actor(of, 'p_1').getSnapshot()).context;

describe('a stub', () => {
  it('is called in place of the promise, and answered by the test', async () => {
    const actor = await begin();
    const bookRoom = test.stub('bookRoom');
    await actor.send({ type: 'book' });
    expect(bookRoom.calls).toMatchObject([
      { input: { nights: 2 }, address: { flowType: 'booking', participantId: 'p_1' }, attempt: 1 },
    ]);
    expect(bookRoom.waiting).toBe(1);
    await bookRoom.resolve({ room: 12 });
    expect(await context()).toMatchObject({ rooms: [12] });
    await actor.send({ type: 'book' });
    await bookRoom.reject(new Error('full'));
    expect(await context()).toMatchObject({ error: 'full' });
    expect(bookRoom.waiting).toBe(0);
  });

  it('leaves the promise as it is where there is none', async () => {
    const actor = await begin();
    await actor.send({ type: 'book' });
    await test.settle();
    expect(await context()).toMatchObject({ rooms: [1] });
  });

  it('answers of itself with a function or a value', async () => {
    const actor = await begin();
    test.stub('bookRoom', { room: 7 });
    await actor.send({ type: 'book' });
    await test.settle();
    test.stub('bookRoom', ({ input }) => ({ room: input.nights * 100 }));
    await actor.send({ type: 'book' });
    await test.settle();
    test.stub('bookRoom', () => {
      throw new Error('closed');
    });
    await actor.send({ type: 'book' });
    await test.settle();
    expect(await context()).toMatchObject({ rooms: [7, 200], error: 'closed' });
  });

  it('outlives a crash: the invocation comes again, with its key, and is answered once', async () => {
    const actor = await begin();
    const bookRoom = test.stub('bookRoom');
    await actor.send({ type: 'book' });
    await test.crash();
    await test.restart();
    await test.settle();
    expect(bookRoom.calls).toHaveLength(2);
    expect(bookRoom.calls[1]!.idempotencyKey).toBe(bookRoom.calls[0]!.idempotencyKey);
    expect(bookRoom.waiting).toBe(1);
    await bookRoom.resolve({ room: 3 });
    await test.actor(flow, 'p_1').send({ type: 'book' });
    expect(bookRoom.calls[2]!.idempotencyKey).not.toBe(bookRoom.calls[0]!.idempotencyKey);
    expect(await context()).toMatchObject({ rooms: [3] });
  });

  it('gives an answer that was given while the runtime was down', async () => {
    const actor = await begin();
    const bookRoom = test.stub('bookRoom');
    await actor.send({ type: 'book' });
    await test.crash();
    await bookRoom.resolve({ room: 4 });
    await test.restart();
    await test.settle();
    expect(await context()).toMatchObject({ rooms: [4] });
    expect(bookRoom.waiting).toBe(0);
  });

  it('is not waited for any more once its state was left', async () => {
    const actor = await begin();
    const bookRoom = test.stub('bookRoom');
    await actor.send({ type: 'book' });
    await actor.send({ type: 'giveUp' });
    expect(bookRoom.calls[0]!.signal.aborted).toBe(true);
    expect(bookRoom.waiting).toBe(0);
    expect(() => bookRoom.resolve({ room: 5 })).toThrow(
      "No invocation of 'bookRoom' waits for an answer. None waits at all.",
    );
  });

  it('is asked again by the policy of the flow, and an attempt that is made again ends as before', async () => {
    await begin();
    const bookRoom = test.stub('bookRoom');
    const actor = await test.spawn(retrying, 'p_1', { input: { nights: 1 } });
    await actor.send({ type: 'book' });
    await test.advance('1m'); // the first attempt times out
    await test.advance('1s');
    await bookRoom.reject(new Error('busy'));
    await test.advance('2s');
    expect(bookRoom.calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    await test.crash();
    await test.restart();
    await test.advance('62s');
    await test.advance('2s');
    expect(bookRoom.calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 1, 2, 3]);
    await bookRoom.resolve({ room: 6 });
    expect(await context(retrying)).toMatchObject({ rooms: [6], error: null });
  });

  it('may be for one flow alone', async () => {
    const actor = await begin();
    test.stub('bookRoom', { room: 8 }, { flow: retrying });
    await actor.send({ type: 'book' });
    await test.settle();
    const other = await test.spawn(retrying, 'p_1', { input: { nights: 1 } });
    await other.send({ type: 'book' });
    await test.settle();
    expect(await context()).toMatchObject({ rooms: [1] });
    expect(await context(retrying)).toMatchObject({ rooms: [8] });
  });

  it('says what can be stubbed where the name is wrong', async () => {
    await begin();
    expect(() => test.stub('bookroom')).toThrow(
      "No flow names an actor 'bookroom' in setup({ actors }). These can be stubbed: 'bookRoom'.",
    );
    expect(() => test.stub('other')).toThrow("'other' is no promise, and only promises can be stubbed.");
  });

  it('reaches the promises of child machines', async () => {
    const parent = setup({ actors: { child: booking } }).createMachine({
      invoke: { src: 'child', id: 'child', input: { nights: 5 } },
      on: { book: { actions: ({ self }) => self.getSnapshot().children['child']?.send({ type: 'book' }) } },
    });
    const family = defineFlow({ type: 'family', version: 1, logic: parent });
    await begin({ flows: [flow, family] });
    const bookRoom = test.stub('bookRoom');
    const actor = await test.spawn(family, 'p_2');
    await actor.send({ type: 'book' });
    await test.settle();
    expect(bookRoom.calls).toMatchObject([{ input: { nights: 5 }, address: { participantId: 'p_2' } }]);
  });
});
