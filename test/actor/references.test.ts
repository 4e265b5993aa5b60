import { describe, expect, it } from 'vitest';
import {
  and,
  assign,
  createMachine,
  emit,
  enqueueActions,
  fromPromise,
  not,
  raise,
  sendTo,
  setup,
  spawnChild,
  stateIn,
} from 'xstate';
import { defineFlow } from '../../src/index.ts';

const flow = (config: object, implementations: object = {}) =>
  defineFlow({
    type: 'f',
    version: 1,
    logic: createMachine({ id: 'm', ...config } as never, implementations as never),
  });
const inA = (a: object) => ({ initial: 'a', states: { a, b: {} } });

describe('a machine that names what it does not provide is refused', () => {
  it.each<[string, object, object?]>([
    ["asks the guard 'fine'", inA({ on: { go: { guard: 'fine', target: 'b' } } })],
    ["asks the guard 'fine'", inA({ after: { 10: { guard: { type: 'fine', params: {} }, target: 'b' } } })],
    ["asks the guard 'fine'", inA({ always: { guard: 'fine', target: 'b' } })],
    [
      "asks the guard 'fine'",
      inA({ on: { go: { guard: and(['known', not('fine')]) } } }),
      { guards: { known: () => true } },
    ],
    ["asks the guard 'fine'", inA({ on: { go: { guard: 'both' } } }), { guards: { both: and(['fine']) } }],
    ["runs the action 'note'", inA({ entry: 'note' })],
    ["runs the action 'note'", inA({ exit: [{ type: 'note', params: {} }] })],
    ["runs the action 'note'", inA({ after: { 10: { target: 'b', actions: ['note'] } } })],
    ["runs the action 'note'", { initial: { target: 'a', actions: 'note' }, states: { a: {} } }],
    [
      "runs the action 'note'",
      inA({ invoke: { src: 'work', onDone: { actions: 'note' } } }),
      { actors: { work: fromPromise(async () => 1) } },
    ],
    ["spawns 'worker'", inA({ entry: spawnChild('worker') })],
    ["has a deadline 'soon'", inA({ after: { soon: 'b' } })],
    ["sends an event after the delay 'soon'", inA({ entry: raise({ type: 'go' }, { delay: 'soon' as never }) })],
    [
      "sends an event after the delay 'soon'",
      inA({ entry: 'later' }),
      { actions: { later: sendTo('x', { type: 'go' }, { delay: 'soon' as never }) } },
    ],
  ])('%s', (reason, config, implementations) => {
    expect(() => flow(config, implementations)).toThrow(`Flow 'f', state '#m`);
    expect(() => flow(config, implementations)).toThrow(`${reason}, which the machine does not provide`);
  });

  it('also in a machine that it invokes', () => {
    const inner = createMachine({ id: 'inner', entry: 'note' } as never);
    expect(() => flow({ invoke: { src: 'inner' } }, { actors: { inner } })).toThrow("runs the action 'note'");
  });
});

it('a machine that provides all of it is taken', () => {
  const logic = setup({
    guards: { fine: () => true, both: and(['fine', not('fine')]), inA: stateIn('a') },
    actions: { note: () => {}, count: assign({}), all: enqueueActions(() => {}), say: emit({ type: 'said' }) },
    delays: { soon: 10 },
    actors: { work: fromPromise(async () => 1) },
  }).createMachine({
    initial: 'a',
    states: {
      a: {
        entry: [
          'note',
          { type: 'count' },
          'all',
          'say',
          () => {},
          spawnChild('work'),
          raise({ type: 'go' }, { delay: 'soon' as never }),
        ],
        on: { go: { guard: 'both', target: 'b' }, stay: { guard: ({ context }) => context !== null, actions: 'note' } },
        after: { soon: { guard: and(['fine', 'inA', () => true]), target: 'b' }, 1.5: 'b' },
      },
      b: {},
    },
  });
  expect(defineFlow({ type: 'f', version: 1, logic }).type).toBe('f');
});
