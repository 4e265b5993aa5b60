/**
 * What runs, in figures since the start of this process: read by the status endpoint, the page and the command line. It
 * holds nothing about any participant.
 */
import { createStore, type Store } from '@xstate/store';
import type { EventChannel, RuntimeEvents } from '../events.ts';
import type { Policy } from '../flow/supervision.ts';
import type { FlowVersions } from '../flow/versions.ts';
import type { Health } from './lifecycle.ts';

/** Of one flow. */
export interface FlowFigures {
  /** The newest one, on which new actors start. */
  version: number;
  /** Older versions that are registered, the newest first. */
  formerVersions: readonly number[];
  /** Its supervision. */
  strategy: Policy['strategy'];
  turns: number;
  /** Turns that threw, and were undone. */
  failures: number;
  /** Of those, how many were tried again by supervision. */
  restarts: number;
  /** Actors whose deadlines were always due, and were slowed down. */
  runaways: number;
  /** Attempts of invocations that failed. */
  invocationFailures: number;
  quarantined: number;
  deadLetters: number;
}

/** What runs, in figures, since the start. */
export interface RuntimeFigures extends Health {
  flows: Readonly<Record<string, FlowFigures>>;
  messages: { sent: number; failed: number };
  /** Writes that the database refused. */
  commitsFailed: number;
  /** How far a long recovery is; null: there is none. */
  recovering: RuntimeEvents['recovering'] | null;
  /** What the last recovery found, by component, in words. */
  recovered: readonly Omit<RuntimeEvents['recovered'], 'ms'>[];
}

type Counter = Exclude<keyof FlowFigures, 'version' | 'formerVersions' | 'strategy'>;

interface Events {
  counted: { flowType: string; counter: Counter; by: number };
  status: Health;
  message: { counter: keyof RuntimeFigures['messages'] };
  commitFailed: null;
  recovering: RuntimeEvents['recovering'];
  recovered: RuntimeEvents['recovered'];
  [name: string]: object | null;
}

/** A store that can be read and subscribed to. */
export type RuntimeRegistry = Pick<
  Store<RuntimeFigures, Events, never>,
  'get' | 'getSnapshot' | 'subscribe' | 'select'
>;

const NOTHING = {
  turns: 0,
  failures: 0,
  restarts: 0,
  runaways: 0,
  invocationFailures: 0,
  quarantined: 0,
  deadLetters: 0,
};

/** Makes a registry that listens to a runtime's events. */
export function createRegistry(flows: Iterable<FlowVersions>, events: EventChannel): RuntimeRegistry {
  const figures = [...flows].map(({ newest: { type, version, supervision }, all }) => {
    const formerVersions = all.slice(1).map((former) => former.version);
    return [type, { version, formerVersions, strategy: supervision.strategy, ...NOTHING }];
  });
  const context: RuntimeFigures = {
    status: 'stopped',
    health: 'healthy',
    troubles: {},
    flows: Object.fromEntries(figures),
    messages: { sent: 0, failed: 0 },
    commitsFailed: 0,
    recovering: null,
    recovered: [],
  };
  const store = createStore({
    context,
    on: {
      counted: (now, { flowType, counter, by }: Events['counted']) => {
        const flow = now.flows[flowType];
        if (!flow) return now; // of a flow that is not registered: recovery's report names its actors
        return { ...now, flows: { ...now.flows, [flowType]: { ...flow, [counter]: flow[counter] + by } } };
      },
      status: (now, { status, health, troubles }: Health) => ({
        ...now,
        ...{ status, health, troubles },
        ...(status === 'booting' && { recovering: null, recovered: [] }),
      }),
      message: (now, { counter }: Events['message']) => ({
        ...now,
        messages: { ...now.messages, [counter]: now.messages[counter] + 1 },
      }),
      commitFailed: (now) => ({ ...now, commitsFailed: now.commitsFailed + 1 }),
      recovering: (now, { component, done, total }: Events['recovering']) => ({
        ...now,
        recovering: { component, done, ...(total !== undefined && { total }) },
      }),
      recovered: (now, { component, summary }: Events['recovered']) => ({
        ...now,
        recovering: null,
        recovered: [...now.recovered, { component, summary }],
      }),
    },
  });

  const count = (counter: Counter) => (event: { address: { flowType: string } }) =>
    store.trigger.counted({ flowType: event.address.flowType, counter, by: 1 });
  events.on('turnFailed', count('failures'));
  events.on('restarting', count('restarts'));
  events.on('runaway', count('runaways'));
  events.on('invocationFailed', count('invocationFailures'));
  events.on('quarantined', count('quarantined'));
  events.on('deadLetter', count('deadLetters'));
  events.on('status', (status) => store.trigger.status(status));
  events.on('sent', () => store.trigger.message({ counter: 'sent' }));
  events.on('sendFailed', ({ final }) => final && store.trigger.message({ counter: 'failed' }));
  events.on('commitFailed', () => store.trigger.commitFailed());
  events.on('recovering', (progress) => store.trigger.recovering(progress));
  events.on('recovered', (component) => store.trigger.recovered(component));

  // Turns come by the ten thousand a second; those of one group commit are counted at once.
  const turns = new Map<string, number>();
  events.on('turn', ({ address: { flowType } }) => {
    if (turns.size === 0) {
      queueMicrotask(() => {
        for (const [type, by] of turns) store.trigger.counted({ flowType: type, counter: 'turns', by });
        turns.clear();
      });
    }
    turns.set(flowType, (turns.get(flowType) ?? 0) + 1);
  });
  return store as unknown as RuntimeRegistry;
}
