/** The ways in which a process dies while a script is run. */

import type { AccessMade, Doom } from '../kit/rehearsal.ts';
import type { AccessKind } from './faults.ts';

/** It does not. */
export const noCrash: Doom = { access: () => undefined, afterStep: () => false };

/** It dies at one access of the first process. */
export const crashAt = (nth: number, when: 'before' | 'after'): Doom => ({
  access: (_, at) => (at.life === 1 && at.nth === nth ? when : undefined),
  afterStep: () => false,
});

/** It dies after a step, when nothing is under way. */
export const crashAfter = (step: number): Doom => ({ access: () => undefined, afterStep: (done) => done === step });

/** It dies after every step. */
export const crashAfterEveryStep: Doom = { access: () => undefined, afterStep: () => true };

/**
 * Before and after what is written, from the beginning to the end: in each step, the first process dies before its first
 * write, the next one after it, the next one before its second write, and so on.
 */
export function crashAroundEveryWrite(): Doom {
  let dying = oneFurther(writes);
  let step = -1;
  return {
    access: ({ kind }, at) => {
      if (at.step !== step) dying = oneFurther(writes);
      step = at.step;
      return dying(kind, at.life);
    },
    afterStep: () => false,
  };
}

/** As another doom says; and then also before and after what recovery writes. */
export const thenAroundRecovery = (doom: Doom): Doom => thenInRecovery(doom, oneFurther(writes));

/** As another doom says; and then at every access of recovery. */
export const thenThroughRecovery = (doom: Doom): Doom =>
  thenInRecovery(
    doom,
    oneFurther(() => true),
  );

function thenInRecovery(doom: Doom, dying: Dying): Doom {
  return {
    access: (access, at) => (at.recovering ? dying(access.kind, at.life) : doom.access(access, at)),
    afterStep: (step) => doom.afterStep(step),
  };
}

type Dying = (kind: AccessKind, life: number) => 'before' | 'after' | undefined;

/** One process after the other dies, each one access further than the one before; where something is written, after it too. */
function oneFurther(counts: (kind: AccessKind) => boolean): Dying {
  let target = 1;
  let when: 'before' | 'after' = 'before';
  let [life, nth] = [0, 0];
  return (kind, of) => {
    if (of !== life) [life, nth] = [of, 0];
    if (!counts(kind) || ++nth !== target) return undefined;
    const verdict = when;
    if (when === 'before' && changes(kind)) when = 'after';
    else [when, target] = ['before', target + 1];
    return verdict;
  };
}

/** It changes the database, by itself. */
const changes = (kind: AccessKind) => kind === 'write' || kind === 'commit';
/** It changes the database, or begins to. */
const writes = (kind: AccessKind) => changes(kind) || kind === 'begin';

/** A place at which a crash can fall: one after which the database holds something else, or something else has been done. */
export interface CrashPoint {
  nth: number;
  when: 'before' | 'after';
}

/** The places among the accesses of a run. Between two reads nothing changes, so that of several only the first counts. */
export function crashPoints(accesses: readonly AccessMade[]): CrashPoint[] {
  const points: CrashPoint[] = [];
  let fresh = true;
  let step = -1;
  for (const { nth, kind, step: of } of accesses) {
    if (of !== step) fresh = true;
    step = of;
    if (fresh && kind !== 'step' && kind !== 'commit') points.push({ nth, when: 'before' });
    if (kind === 'commit') points.push({ nth, when: 'before' });
    fresh = changes(kind);
    if (fresh) points.push({ nth, when: 'after' });
  }
  return points;
}
