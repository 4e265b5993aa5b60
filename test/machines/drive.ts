/** A machine as plain XState runs it, on a clock that moves when told to, from deadline to deadline. */
import { type AnyStateMachine, type ContextFrom, createActor, type InputFrom, type SnapshotFrom } from 'xstate';
import { SimulatedClock } from '../../src/clock.ts';
import { type Ambient, withAmbient } from '../../src/machine/ambient.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export interface DriveOptions<T extends AnyStateMachine> {
  input: InputFrom<T>;
  /** Default: 2026-05-01T08:00:00Z, a Friday. */
  start?: string;
  random?: () => number;
}

export function drive<T extends AnyStateMachine>(machine: T, { input, start, random }: DriveOptions<T>) {
  const clock = new SimulatedClock(Date.parse(start ?? '2026-05-01T08:00:00Z'));
  const ambient: Ambient = { now: () => clock.now(), random: random ?? (() => 0.3) };
  const actor = withAmbient(ambient, () => createActor(machine, { clock, input } as never));
  let emitted: any[] = [];
  actor.on('*' as never, (event: any) => emitted.push(event));

  const driver = {
    clock,
    actor,
    send(...events: object[]) {
      for (const event of events) withAmbient(ambient, () => actor.send(event as never));
    },
    reply(...texts: string[]) {
      for (const text of texts) driver.send({ type: 'reply', text });
    },
    /** Moves on by `ms`; what is due on the way fires at its own instant. */
    pass: (ms: number) => driver.passUntil(clock.now() + ms),
    passUntil(instant: number | string) {
      const until = typeof instant === 'string' ? Date.parse(instant) : instant;
      for (let due = clock.nextTimer(); due !== undefined && due <= until; due = clock.nextTimer()) driver.moveTo(due);
      driver.moveTo(until);
    },
    moveTo: (instant: number) => withAmbient(ambient, () => clock.moveTo(instant)),
    get time() {
      return new Date(clock.now()).toISOString();
    },
    get snapshot(): SnapshotFrom<T> {
      return actor.getSnapshot() as SnapshotFrom<T>;
    },
    get context(): ContextFrom<T> {
      return (actor.getSnapshot() as { context: ContextFrom<T> }).context;
    },
    /** What was emitted since this was last read. */
    get emitted(): any[] {
      const result = emitted;
      emitted = [];
      return result;
    },
    /** The texts of the messages emitted since anything emitted was last read. */
    get said(): string[] {
      return driver.emitted.filter(({ type }) => type === 'message').map(({ text }) => text);
    },
  };
  withAmbient(ambient, () => actor.start());
  return driver;
}
