import { afterEach, describe, expect, it } from 'vitest';
import { type AnyActorRef, assign, createActor, createMachine, fromPromise, sendTo, setup, stopChild } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

class HttpError extends Error {
  override name = 'HttpError';
  status = 404;
  request = { socket: () => {} };
}

describe('what a context holds is kept exactly, or refused', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());
  const begin = async (logic: any) => {
    const flow = defineFlow({ type: 'f', version: 1, logic });
    test = await createTestRuntime({ flows: [flow] });
    return test.spawn(flow, 'p', {});
  };
  const restart = async () => {
    await test.crash();
    await test.restart();
  };

  it('refuses a turn that keeps a value of a class, and names its path', async () => {
    class Scores extends Map {}
    const actor = await begin(
      createMachine({
        context: { scores: null },
        on: { begin: { actions: assign({ scores: () => new Scores() as never }) } },
      }),
    );
    await expect(actor.send({ type: 'begin' })).rejects.toMatchObject({
      code: 'NOT_SERIALIZABLE',
      path: 'snapshot.context.scores',
      address: { flowType: 'f', participantId: 'p' },
    });
  });

  it('refuses a value of a class also where a reference to an actor is in it', async () => {
    class Friends extends Array {}
    const actor = await begin(
      setup({ types: { context: {} as any } }).createMachine({
        context: {},
        on: {
          list: { actions: assign({ friends: ({ self }) => Friends.of(self) }) },
          match: { actions: assign({ friends: ({ self }) => Object.assign([self], { best: 0 }) }) },
        },
      }),
    );
    for (const type of ['list', 'match'])
      await expect(actor.send({ type })).rejects.toMatchObject({
        code: 'NOT_SERIALIZABLE',
        path: 'snapshot.context.friends',
      });
  });

  it('refuses a reference to an actor of another system, and a delayed event for one', async () => {
    const outside = createActor(createMachine({})).start();
    const actor = await begin(
      setup({ types: { context: {} as any } }).createMachine({
        context: {},
        on: {
          keep: { actions: assign({ a: { friends: new Map([['ada', outside]]) } }) },
          later: { actions: sendTo(outside, { type: 'hi' }, { delay: 1000 }) },
        },
      }),
    );
    await expect(actor.send({ type: 'keep' })).rejects.toMatchObject({
      code: 'NOT_SERIALIZABLE',
      path: 'snapshot.context.a.friends.get(ada)',
    });
    await expect(actor.send({ type: 'later' })).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE' });
    outside.stop();
  });

  it('keeps references to stopped children whose own contexts lead back, to the parent and to each other', async () => {
    type Kid = { parent: AnyActorRef; friend: AnyActorRef | null };
    const kid = setup({ types: { context: {} as Kid } }).createMachine({
      context: ({ input }: any) => ({ parent: input.parent, friend: null }),
      on: { meet: { actions: assign({ friend: ({ event }: any) => event.friend }) } },
    });
    const actor = await begin(
      setup({ actors: { kid }, types: { context: {} as any } }).createMachine({
        context: ({ spawn, self }: any) => ({
          one: spawn('kid', { id: 'one', input: { parent: self } }),
          two: spawn('kid', { id: 'two', input: { parent: self } }),
        }),
        on: {
          meet: {
            actions: [
              sendTo('one', ({ context }) => ({ type: 'meet', friend: context.two })),
              sendTo('two', ({ context }) => ({ type: 'meet', friend: context.one })),
            ],
          },
          drop: { actions: [stopChild('one'), stopChild('two')] },
          nothing: { actions: () => {} },
        },
      }),
    );
    await actor.send({ type: 'meet' });
    await actor.send({ type: 'drop' });
    for (let n = 0; n < 2; n++) {
      await restart();
      await actor.send({ type: 'nothing' });
      const { one, two } = (await actor.getSnapshot()).context;
      const friendOf = (ref: AnyActorRef) => ref.getSnapshot().context.friend;
      expect([one.id, two.id, friendOf(one).id, friendOf(two).id]).toEqual(['one', 'two', 'two', 'one']);
      expect(friendOf(friendOf(one)).id).toBe('one');
      expect(one.getSnapshot().context.parent.id).toBe('p');
      expect(one.getSnapshot().status).toBe('stopped');
    }
  });

  it('shows a failure to guards as it was thrown, and keeps what can be stored of it', async () => {
    const pay = fromPromise(async () => {
      throw new HttpError('not found', { cause: new HttpError('inner') });
    });
    const inner = setup({ actors: { pay } }).createMachine({ invoke: { src: 'pay' } });
    const actor = await begin(
      setup({ actors: { pay, inner }, types: { context: {} as any } }).createMachine({
        context: {},
        initial: 'a',
        states: {
          a: {
            invoke: {
              src: 'pay',
              onError: {
                guard: ({ event }) => event.error instanceof HttpError,
                target: 'b',
                actions: assign({ failures: ({ event }) => [event.error] }),
              },
            },
          },
          b: {
            invoke: {
              src: 'inner',
              onError: { actions: assign({ failures: ({ context, event }) => [...context.failures, event.error] }) },
            },
          },
        },
      }),
    );
    await test.settle();
    const failures = async () => (await actor.getSnapshot()).context.failures;
    const before = await failures();
    expect(before).toHaveLength(2);
    for (const failure of before) {
      expect(Object.getPrototypeOf(failure)).toBe(Error.prototype);
      expect(failure).toMatchObject({
        name: 'HttpError',
        message: 'not found',
        status: 404,
        cause: { message: 'inner' },
      });
    }
    await restart();
    expect(await failures()).toStrictEqual(before);
  });
});

describe('logic that cannot be durable', () => {
  const byHand = {
    getInitialSnapshot: () => ({ status: 'active', output: undefined, error: undefined, context: 0 }),
    transition: (state: unknown) => state,
    getPersistedSnapshot: (state: unknown) => state,
    start: () => {},
  };
  const { start: _, ...counter } = byHand;
  const store = { ...counter, getPersistedSnapshot: undefined };
  const flowOf = (kid: unknown) =>
    defineFlow({
      type: 'f',
      version: 1,
      logic: setup({ actors: { kid } as Record<string, any> }).createMachine({
        initial: 'a',
        states: { a: { invoke: { src: 'kid' } } },
      }),
    });
  const nested = (kid: unknown) => setup({ actors: { kid } as Record<string, any> }).createMachine({});
  const provided = (kid: unknown) =>
    setup({ actors: { kid: fromPromise(async () => 1) } })
      .createMachine({ invoke: { src: 'kid' } })
      .provide({ actors: { kid: kid as never } });

  it('is refused where it has a start of its own: as a flow, invoked, named to be spawned, within a machine, and provided', () => {
    const refused = { code: 'UNSUPPORTED_LOGIC' };
    for (const define of [
      () => defineFlow({ type: 'f', version: 1, logic: byHand as never }),
      () => flowOf(byHand),
      () => flowOf(nested(byHand)),
      () => defineFlow({ type: 'f', version: 1, logic: nested(byHand) }),
      () => defineFlow({ type: 'f', version: 1, logic: provided(byHand) }),
    ])
      expect(define).toThrow(expect.objectContaining(refused));
    expect(() => flowOf(byHand)).toThrow("'kid' is written by hand");
    expect(() => flowOf(counter)).not.toThrow();
  });

  it('is refused where it is a store in place of its logic, or no logic at all', () => {
    for (const define of [
      () => defineFlow({ type: 'f', version: 1, logic: store as never }),
      () => flowOf(store),
      () => flowOf(nested(store)),
    ])
      expect(define).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('fromStore(') }),
      );
    expect(() => flowOf(async () => 1)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('fromPromise') }),
    );
  });
});
