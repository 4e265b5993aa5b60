/** A pending deadline, as a test author calls it. */
import type { StoredTimer } from '../../actor/live-actor.ts';
import { type Duration, formatDuration, milliseconds } from '../../duration.ts';

/** A pending deadline: what `actor.timers()` of the runtime tells, with a name and the time that is left. */
export interface TestTimer extends StoredTimer {
  /** The name of the delay in `after`, `after 15m` where it is a number there, or the type of the delayed event. */
  name: string;
  /** How long it is from now, e.g. `'15m'` or `'1h30m'`. */
  in: string;
}

/** @param now in ms since the epoch */
export const testTimer = (timer: StoredTimer, now: number): TestTimer => ({
  name: nameOf(timer.event.type),
  in: formatDuration(timer.dueAt - now),
  ...timer,
});

/** How XState calls the event of an `after`: the delay, and the id of the state that it belongs to. */
const AFTER = 'xstate.after.';

function nameOf(type: string): string {
  if (!type.startsWith(AFTER)) return type;
  const [delay] = type.slice(AFTER.length).split('.', 1);
  return /^\d+$/.test(delay!) ? `after ${formatDuration(Number(delay))}` : delay!;
}

/** Which deadline is meant: by when it is due. */
export interface When {
  /** From now: `'15m'`, or as it is printed, `'1h30m'`. */
  in?: Duration | (string & {});
  /** Its instant: ms since the epoch, a Date, or an ISO text. */
  at?: number | Date | string;
}

/** @param name a name, an id, or the type of the event; a delay that has no name goes by its ms, as in the machine */
export function isMeant(timer: TestTimer, name: string | undefined, { in: wait, at }: When): boolean {
  const { type } = timer.event;
  const named =
    name === undefined || [timer.name, timer.id, type].includes(name) || type.startsWith(`${AFTER}${name}.`);
  return (
    named &&
    (wait === undefined || wait === timer.in || inText(wait as Duration) === timer.in) &&
    (at === undefined || new Date(at).getTime() === timer.dueAt)
  );
}

/** @throws {InvalidArgumentError} it is neither a duration nor one as it is printed */
const inText = (wait: Duration) =>
  typeof wait === 'string' && PRINTED.test(wait) ? wait : formatDuration(milliseconds(wait));

/** Of more than one unit. */
const PRINTED = /^-?(\d+(d|h|m|s|ms)){2,}$/;
