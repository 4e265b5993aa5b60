/** How an actor stands, as a person reads it: the same text in every run. */
import { inspect } from 'node:util';
import type { AnyActorRef } from 'xstate';
import { type Address, formatAddress } from '../../errors.ts';
import type { ActorStatus } from '../../store/rows.ts';
import { entry, idOf, indent, type Printed, print } from './print.ts';
import type { TestTimer } from './test-timer.ts';

/** How an actor is shown to people. */
export interface ViewOptions {
  /** Adds the instants of deadlines. Default: only how long they are from now. */
  instants?: boolean;
}

interface Seen {
  address: Address;
  status: ActorStatus;
  lastError: string | null;
  snapshot: any;
  timers: TestTimer[];
  /** When it was looked at, in ms since the epoch. */
  now: number;
}

/** What `test.view(actor)` gives. */
export class ActorView {
  readonly address: Address;
  readonly status: ActorStatus;
  /** Why it was put aside, or ended. */
  readonly lastError: string | null;
  readonly snapshot: any;
  readonly timers: TestTimer[];
  readonly now: number;

  /** @internal */
  constructor({ address, status, lastError, snapshot, timers, now }: Seen) {
    this.address = address;
    this.status = status;
    this.lastError = lastError;
    this.snapshot = snapshot;
    this.timers = timers;
    this.now = now;
  }

  /** For `console.log`. */
  [inspect.custom](): string {
    return this.toString();
  }

  /** As a text for people. */
  toString(options: ViewOptions = {}): string {
    const { address, status, lastError, snapshot, timers } = this;
    const lines = [`${formatAddress(address)} (${status})`];
    if (lastError !== null && status !== 'active') lines.push(`reason: ${JSON.stringify(lastError)}`);
    lines.push(...linesOf(snapshot));
    if (timers.length > 0)
      lines.push(...entry('deadlines', { lines: timers.map((timer) => deadline(timer, options)) }));
    return lines.join('\n');
  }
}

/** The text of a snapshot of any actor: its state, context, output, error and children. Deadlines are not part of it. */
export function formatSnapshot(snapshot: any): string {
  return [...(snapshot.status === 'active' ? [] : [`status: ${snapshot.status}`]), ...linesOf(snapshot)].join('\n');
}

function linesOf({ value, context, output, error, children }: any): string[] {
  return [
    ...(value === undefined ? [] : entry('state', tree(value))),
    ...named('context', context),
    ...(output === undefined ? [] : named('output', output, true)),
    ...(error === undefined ? [] : named('error', error, true)),
    ...(Object.keys(children ?? {}).length === 0
      ? []
      : entry('children', { lines: Object.entries(children).map(child).sort().flat() })),
  ];
}

/** An empty object is worth no line. */
function named(name: string, value: unknown, always = false): string[] {
  const printed = print(value);
  if (always) return entry(name, printed);
  return value === undefined || printed === '{}' ? [] : entry(name, printed);
}

function tree(value: unknown): Printed {
  if (typeof value === 'string') return value;
  const regions = Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = regions.flatMap(([name, inner]) =>
    typeof inner === 'object' && Object.keys(inner).length === 0 ? [name] : entry(name, tree(inner)),
  );
  return { lines };
}

function child([key, ref]: [string, unknown]): string[] {
  const { src, sessionId } = ref as AnyActorRef & { src: unknown };
  const snapshot = (ref as AnyActorRef).getSnapshot() as any;
  // XState keeps a child that an action spawns without an id under 'undefined'.
  const name = idOf(key === 'undefined' ? sessionId : key);
  const title = `${name}${typeof src === 'string' && src !== key ? ` (${src})` : ''}: ${snapshot.status}`;
  return [title, ...linesOf(snapshot).map(indent)];
}

function deadline({ name, in: wait, event, target, dueAt }: TestTimer, { instants }: ViewOptions): string {
  const { type: _, ...data } = event;
  const whose = target ? `${target.map(idOf).join('/')}/` : '';
  const what = Object.keys(data).length > 0 ? ` ${JSON.stringify(data)}` : '';
  return `${whose}${name}${what} in ${wait}${instants ? ` (${new Date(dueAt).toISOString()})` : ''}`;
}
