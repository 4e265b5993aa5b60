/** Bugs that are planted must be found, and said in words that help. */
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { assign, createMachine, emit, forwardTo, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { message, now } from '../../src/machine/index.ts';
import { crashEverywhere, createTestRuntime, DivergenceError, explore, type Script } from '../../src/testing/index.ts';

interface Plant {
  context?: () => Record<string, unknown>;
  /** Done on `go`. */
  action?: any;
  guard?: () => boolean;
  delay?: () => number;
}

/** A healthy machine with one bug in it. Some steps do not matter to it. */
function planted({ context = () => ({}), action = [], guard = () => true, delay = () => 60_000 }: Plant) {
  const machine = setup({
    types: {} as {
      context: Record<string, unknown>;
      events: { type: 'go' } | { type: 'back' } | { type: 'other' };
    },
    actors: { service: fromPromise<number>(async () => 1) },
    guards: { isFine: guard },
    delays: { patience: delay },
  }).createMachine({
    id: 'planted',
    context: () => context(),
    initial: 'idle',
    on: { other: { actions: emit(message('Something else.')) } },
    states: {
      idle: { on: { go: { guard: 'isFine', target: 'busy', actions: action } } },
      busy: {
        invoke: { src: 'service', onDone: 'idle', onError: 'idle' },
        on: { back: 'idle' },
        after: { patience: 'idle' },
      },
    },
  });
  return defineFlow({ type: 'planted', version: 1, logic: machine });
}
type Planted = ReturnType<typeof planted>;

const script: Script<Planted> = [
  { send: { type: 'other' } },
  { send: { type: 'go' } },
  { send: { type: 'other' } },
  { resolve: 'service' },
];

const failure = (of: Promise<unknown>): Promise<DivergenceError> =>
  of.then(
    () => expect.fail('the bug was not found'),
    (error) => {
      expect(error).toBeInstanceOf(DivergenceError);
      return error;
    },
  );
const crashing = (flow: Planted, options = {}) => failure(crashEverywhere(flow, script, options));
const exploring = (flow: Planted, options = {}) =>
  failure(explore(flow, { events: [{ type: 'go' }, { type: 'back' }, { type: 'other' }], depth: 4, ...options }));

describe('a side effect in an action', () => {
  const mails: string[] = [];
  const sendMail = function sendMail() {
    mails.push('a mail');
  };
  const flow = planted({ action: sendMail });

  it('is found where a crash loses it', async () => {
    const error = await crashing(flow);
    expect(error).toMatchObject({ kind: 'lostAction', step: 2 });
    expect(error.crashes).toEqual(['in step 2, after the commit of turn 3, before its effects']);
    expect(error.message).toBe(
      `The custom action 'sendMail' ran once without a crash, and not at all with one. A custom action runs after the commit, at most once, so that a crash in between loses it. What must not be lost is emitted, e.g. emit(message(…)), which is stored with the turn, or invoked, which is done again. If this one may be lost, say so: { harmless: ['sendMail'] }.

   0  it is spawned
   1  { send: { type: 'other' } }
→  2  { send: { type: 'go' } }
        the process dies in step 2, after the commit of turn 3, before its effects
   3  { send: { type: 'other' } }
   4  { resolve: 'service' }`,
    );
  });

  it('is found by the explorer, in one step', async () => {
    const error = await exploring(flow);
    expect(error).toMatchObject({ kind: 'lostAction', script: [{ send: { type: 'go' } }] });
  });

  it('may be lost where that is said', async () => {
    const options = { harmless: ['sendMail'] };
    await crashEverywhere(flow, script, options);
    await explore(flow, { events: [{ type: 'go' }], depth: 2, ...options });
  });
});

describe('a side effect within a turn', () => {
  it('is found where a crash doubles it, if it is watched', async () => {
    let charged = 0;
    const flow = planted({
      action: assign(() => {
        charged++;
        return {};
      }),
    });
    const watch = { reset: () => (charged = 0), read: () => ({ charged }) };
    const error = await crashing(flow, { watch });
    expect(error).toMatchObject({
      kind: 'crash',
      expected: { world: { charged: 1 } },
      actual: { world: { charged: 2 } },
    });
    expect(error.message).toContain(
      `
→  2  { send: { type: 'go' } }
        the process dies in step 2, before the commit of turn 3
`.trim(),
    );
    expect(error.message).toContain(
      `
the world, as watched:
    {
  +   charged: 2
  -   charged: 1
    }`.trim(),
    );
    const found = await exploring(flow, { watch });
    expect(found).toMatchObject({ kind: 'crash', script: [{ send: { type: 'go' } }] });
  });
});

describe('a context that cannot be stored', () => {
  class Money {
    readonly amount = 5;
  }
  const flow = planted({ action: assign({ price: () => new Money() }) });

  it('is found where it comes into being', async () => {
    const error = await crashing(flow);
    expect(error).toMatchObject({ kind: 'notSerializable', step: 2 });
    expect(error.message).toContain(
      "'planted' cannot be stored: snapshot.context.price of planted/p_1 is an instance of Money",
    );
  });

  it('is found by the explorer, in one step', async () => {
    expect(await exploring(flow)).toMatchObject({ kind: 'notSerializable', script: [{ send: { type: 'go' } }] });
  });

  it('is found at the birth of the actor', async () => {
    const error = await crashing(planted({ context: () => ({ now: () => 1 }) }));
    expect(error).toMatchObject({ kind: 'notSerializable', step: 0 });
    expect(await exploring(planted({ context: () => ({ now: () => 1 }) }))).toMatchObject({ script: [] });
  });

  it('is found where it would come back as something else', async () => {
    class Prices extends Map<string, number> {
      total() {
        return [...this.values()].reduce((sum, price) => sum + price, 0);
      }
    }
    const shifting = planted({ action: assign({ prices: () => new Prices([['a', 1]]) }) });
    const error = await crashing(shifting);
    expect(error).toMatchObject({
      kind: 'notSerializable',
      message: expect.stringContaining('context.prices'),
    });
    expect(await exploring(shifting)).toMatchObject({ kind: 'notSerializable', script: [{ send: { type: 'go' } }] });
  });
});

describe('the clock or chance in a turn', () => {
  const plants: [string, Plant, string][] = [
    [
      'Date.now() in a guard',
      { guard: () => Date.now() > 0 },
      'Date.now() in a guard `guard` (test/testing/planted.test.ts:',
    ],
    [
      'new Date() in a delay',
      { delay: () => new Date().getMilliseconds() + 1_000 },
      'new Date() in a delay `delay` (test/testing/planted.test.ts:',
    ],
    [
      'Math.random() in an assign',
      { action: assign({ coin: () => Math.random() < 0.5 }) },
      'Math.random() in an assign `coin` (test/testing/planted.test.ts:',
    ],
    [
      'Math.random() in the first context',
      { context: () => ({ coin: Math.random() }) },
      'Math.random() in the first context `context` (test/testing/planted.test.ts:',
    ],
    [
      'crypto.randomUUID() in an emit',
      { action: emit(() => message(crypto.randomUUID())) },
      'crypto.randomUUID() in an emit',
    ],
  ];
  it.each(plants)('is found: %s', async (_, plant, said) => {
    const error = await crashing(planted(plant));
    expect(error.kind).toBe('impure');
    expect(error.message).toContain(said);
    expect(error.message).toContain("of 'perdure/machine'");
    const found = await exploring(planted(plant));
    expect(found.kind).toBe('impure');
    expect(found.message).toContain(said);
    expect(found.script.length).toBeLessThanOrEqual(1);
  });

  it('is no bug in an action that runs after the commit, nor with now()', async () => {
    const flow = planted({
      guard: () => now() > 0,
      action: function log() {
        Date.now();
      },
    });
    await crashEverywhere(flow, script, { harmless: ['log'] });
  });

  it('is no bug where a console reads it: one that a test framework puts in the place of Node’s', async () => {
    const out = new Writable({
      write: (_chunk, _encoding, done) => {
        Date.now();
        done();
      },
    });
    const printing = new Console(out);
    const flow = planted({
      guard: () => {
        printing.log('asked');
        return true;
      },
    });
    await crashEverywhere(flow, script);
  });

  it('is let pass where that is said', async () => {
    const flow = planted({ guard: () => Date.now() > 0 });
    await crashEverywhere(flow, script, { impure: 'ignore' });
    await explore(flow, { events: [{ type: 'go' }], depth: 2, impure: 'ignore' });
  });
});

describe('a variable outside of the machine', () => {
  it('is found where it decides', async () => {
    let calls = 0;
    const flow = planted({ guard: () => ++calls > 1 });
    const error = await failure(crashEverywhere(flow, [{ send: { type: 'go' } }]));
    expect(error.kind).toBe('unrepeatable');
    expect(error.message).toContain('does something else when the same script is run again');
    expect(error.message).toContain('+ the second time   - the first time');
  });
});

describe('a cache outside of the machine', () => {
  it('is found where the first answer is another one than the next', async () => {
    const known = new Set<string>();
    const flow = planted({
      action: assign({ greeted: () => known.size === known.add('ada').size }),
    });
    const error = await exploring(flow);
    expect(error).toMatchObject({ kind: 'unrepeatable', script: [{ send: { type: 'go' } }] });
    expect(error.message).toContain('does something else when the same script is run again');
  });

  it('is no bug where it gives the same answer', async () => {
    const known = new Map<string, number>();
    const length = (text: string) => {
      if (!known.has(text)) known.set(text, text.length);
      return known.get(text)!;
    };
    const flow = planted({ action: assign({ n: () => length('ada'), error: () => new Error('a stack is stored') }) });
    await explore(flow, { events: [{ type: 'go' }, { type: 'back' }], depth: 3 });
  });
});

describe('logic that throws', () => {
  const flow = planted({
    action: assign(() => {
      throw new Error('no such thing');
    }),
  });

  it('is found by the explorer, with the shortest way there', async () => {
    const error = await exploring(flow);
    expect(error).toMatchObject({ kind: 'throws', script: [{ send: { type: 'go' } }] });
    expect(error.message).toContain('no such thing');
  });

  it('does the same wherever it crashes', async () => {
    await crashEverywhere(flow, [{ send: { type: 'go' } }, { send: { type: 'other' } }]);
    const report = await explore(flow, { events: [{ type: 'go' }, { type: 'other' }], depth: 2, throws: 'allow' });
    expect(report.states.covered).toContain('idle');
  });
});

describe('an actor that never comes to rest', () => {
  const logic = createMachine({
    id: 'restless',
    initial: 'calm',
    states: { calm: { on: { go: 'one' } }, one: { after: { 0: 'two' } }, two: { after: { 0: 'one' } } },
  });
  const flow = defineFlow({ type: 'restless', version: 1, logic });

  it('is told, and not waited for', async () => {
    await expect(crashEverywhere(flow, [{ send: { type: 'go' } }])).rejects.toMatchObject({ code: 'RUNAWAY' });
  });

  it('is found by the explorer', async () => {
    await expect(explore(flow, { events: [{ type: 'go' }], depth: 3 })).rejects.toMatchObject({ code: 'RUNAWAY' });
  });
});

describe('a turn that never ends', () => {
  const loop = setup({ guards: { always: () => true } }).createMachine({
    id: 'loop',
    context: { laps: 0 },
    initial: 'calm',
    states: {
      calm: { on: { go: 'round' } },
      round: {
        always: {
          guard: 'always',
          target: 'round',
          reenter: true,
          actions: assign({ laps: ({ context }) => context.laps + 1 }),
        },
      },
    },
  });

  it('fails, also in an invoked machine, and is not waited for', async () => {
    const flow = defineFlow({ type: 'loop', version: 1, logic: loop });
    const error = await failure(explore(flow, { events: [{ type: 'go' }] }));
    expect(error).toMatchObject({ kind: 'throws', script: [{ send: { type: 'go' } }] });
    expect(error.message).toContain('Infinite loop detected');
    const parent = setup({ actors: { loop } }).createMachine({
      id: 'parent',
      invoke: { id: 'inner', src: 'loop' },
      on: { go: { actions: forwardTo('inner') } },
    });
    const outer = defineFlow({ type: 'parent', version: 1, logic: parent });
    await using test = await createTestRuntime({ flows: [outer] });
    await test.spawn(outer, 'p_1');
    await expect(test.send('p_1', { type: 'go' })).rejects.toThrow('Infinite loop detected');
  });
});
