/**
 * The supervisor: the life of a runtime, from the start to the stop, and its health.
 *
 * - Nothing is taken in before `running`. Migrating and recovering come first, in that order, and each may fail.
 * - A stop is heeded at any time. What is under way is given up where it may be (a start), or ends first (turns, messages).
 * - Health is apart from life: a runtime whose database takes no writes runs, and is degraded until a write succeeds.
 *
 * What the steps do is the runtime's own: `provide({ actors })`.
 */
import { assertEvent, assign, type ErrorActorEvent, fromPromise, setup } from 'xstate';

/**
 * What a start is for: `run` everything; `command`: take commands and do nothing of itself; `look`: only read, also beside
 * another process; `recover`, and end.
 */
export type Purpose = 'run' | 'command' | 'look' | 'recover';

export type SupervisorEvent =
  | { type: 'start'; purpose: Purpose }
  | { type: 'stop' }
  /** As if the process had been killed. */
  | { type: 'abandon' }
  /** Something is wrong; `about` names it, so that it is told apart and relieved. */
  | { type: 'trouble'; about: string; reason: string }
  | { type: 'relief'; about: string };

export interface SupervisorContext {
  purpose: Purpose;
  /** Why the last start, or stop, failed; null: it did not. */
  error: unknown;
  /** What makes the runtime degraded, by what it is about. */
  troubles: Record<string, string>;
}

const step = fromPromise<void, Purpose>(async () => {});

export const supervisorMachine = setup({
  types: { context: {} as SupervisorContext, events: {} as SupervisorEvent, tags: {} as 'starting' | 'open' },
  actors: { boot: step, migrate: step, recover: step, drain: step, release: step },
  actions: {
    begin: assign(({ event }) => {
      assertEvent(event, 'start');
      return { purpose: event.purpose, error: null, troubles: {} };
    }),
    blame: assign(({ event }) => ({ error: (event as unknown as ErrorActorEvent).error })),
    note: assign(({ context, event }) => {
      assertEvent(event, 'trouble');
      return { troubles: { ...context.troubles, [event.about]: event.reason } };
    }),
    relieve: assign(({ context, event }) => {
      assertEvent(event, 'relief');
      const { [event.about]: _, ...troubles } = context.troubles;
      return { troubles };
    }),
  },
  guards: {
    isTroubled: ({ context }) => Object.keys(context.troubles).length > 0,
    isWell: ({ context }) => Object.keys(context.troubles).length === 0,
    onlyRecovers: ({ context }) => context.purpose === 'recover',
  },
}).createMachine({
  id: 'supervisor',
  type: 'parallel',
  description: 'A runtime: its life, and its health.',
  context: { purpose: 'run', error: null, troubles: {} },
  states: {
    life: {
      description: 'From the start to the stop.',
      initial: 'stopped',
      on: { abandon: '.stopped' },
      states: {
        stopped: {
          description: 'Nothing is open. A start begins here, also after one that failed.',
          on: {
            start: { target: 'booting', actions: 'begin' },
          },
        },
        booting: {
          description: 'The database is opened and locked.',
          tags: 'starting',
          invoke: {
            src: 'boot',
            input: ({ context }) => context.purpose,
            onDone: 'migrating',
            onError: { target: 'failed', actions: 'blame' },
          },
          on: { stop: 'draining' },
        },
        migrating: {
          description: "The database's tables are brought up to date.",
          tags: 'starting',
          invoke: {
            src: 'migrate',
            input: ({ context }) => context.purpose,
            onDone: 'recovering',
            onError: { target: 'failed', actions: 'blame' },
          },
          on: { stop: 'draining' },
        },
        recovering: {
          description: 'Components recover what a former process left; then deadlines, invocations and messages go on.',
          tags: 'starting',
          invoke: {
            src: 'recover',
            input: ({ context }) => context.purpose,
            onDone: [{ guard: 'onlyRecovers', target: 'draining' }, { target: 'running' }],
            onError: { target: 'failed', actions: 'blame' },
          },
          on: { stop: 'draining' },
        },
        running: {
          description: 'Events, messages and commands are taken.',
          tags: 'open',
          on: { stop: 'draining' },
        },
        draining: {
          description: 'What is under way comes to its end; then the database is closed.',
          tags: 'open',
          invoke: {
            src: 'drain',
            input: ({ context }) => context.purpose,
            onDone: 'stopped',
            onError: { target: 'failed', actions: 'blame' },
          },
        },
        failed: {
          description: 'A step failed. What it had opened is let go of.',
          invoke: { src: 'release', input: ({ context }) => context.purpose, onDone: 'stopped', onError: 'stopped' },
        },
      },
    },
    health: {
      description: 'What is known to be wrong, whatever the runtime is about to do.',
      initial: 'healthy',
      on: {
        trouble: { actions: 'note' },
        relief: { actions: 'relieve' },
      },
      states: {
        healthy: {
          description: 'Nothing is known to be wrong.',
          always: { guard: 'isTroubled', target: 'degraded' },
        },
        degraded: {
          description: 'It runs, and an operator should look: troubles says why.',
          always: { guard: 'isWell', target: 'healthy' },
        },
      },
    },
  },
});
