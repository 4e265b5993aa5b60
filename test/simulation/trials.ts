/** What else happens in a world, at any time, beside what its plan has: code that fails for a while, and those who look. */
import type { Chance } from './chance.ts';
import { EVENTS, GENERATED, SPIN } from './machines.ts';
import { FLAWS } from './outside.ts';
import { OUTSIDE } from './scheduler.ts';
import { MINUTE, SECOND } from './surroundings.ts';
import type { World } from './world.ts';

/** Those that Perdure bears. */
const FELT = FLAWS;

/** @param wait by then all else has been begun, in ms from now */
export function planTrials(world: World, chance: Chance, wait: number): void {
  const people = world.people.filter(({ flowType }) => flowType === GENERATED);
  if (people.length === 0) return;
  const at = () => chance.below(wait + MINUTE);
  const later = (label: string, run: () => void, ms = at()) => world.scheduler.after(ms, label, run, OUTSIDE);
  if (chance.happens(0.5)) world.carrier.attempts = chance.between(2, 4);
  world.watched = chance.happens(0.3);
  if (world.watched)
    for (let i = chance.between(2, 8); i > 0; i--) {
      const [person, ms] = [chance.pick(people), at()];
      // Several at once, and side by side with what comes in.
      for (let many = chance.between(1, 3); many > 0; many--) later('look', () => world.readers.look(person), ms);
      if (chance.happens(0.5)) later('event', () => world.users.send(person, chance.pick(EVENTS)), ms);
    }
  if (chance.happens(0.2)) {
    const person = chance.pick(people);
    later('remove', () => world.users.remove(person));
    if (chance.happens(0.3)) later('event', () => world.users.send(person, chance.pick(EVENTS)));
  }
  if (chance.happens(0.4))
    for (let i = chance.between(1, 3); i > 0; i--) {
      const [person, flaw] = [chance.pick(people), chance.pick(FELT)];
      later('flaw', () => !world.calm && world.operators.flaw(person, flaw));
      if (chance.happens(0.5)) later('event', () => world.users.send(person, chance.pick(EVENTS)));
      if (chance.happens(0.3)) later('operator', () => world.operators.operate());
    }
  if (chance.happens(0.3)) {
    const [person, ms] = [chance.pick(people), chance.happens(0.5) ? 0 : at()];
    for (let many = chance.between(1, 3); many > 0; many--) later('ensure', () => world.users.ensure(person), ms);
    if (chance.happens(0.5)) later('ensure', () => world.users.ensure(person));
  }
  if (chance.happens(0.06)) {
    const [person, ms] = [chance.pick(people), at()];
    later('spin', () => world.users.send(person, SPIN), ms);
    for (let many = chance.between(1, 3); many > 0; many--)
      later('event', () => world.users.send(person, chance.pick(EVENTS)), ms + chance.below(20) * SECOND);
  }
  if (chance.happens(0.3)) {
    const [person, ms] = [chance.pick(people), at()];
    later('message', () => world.users.write(person, `${chance.pick(EVENTS)} poison`), ms);
    later('operator', () => world.operators.operate(), ms + chance.pick([SECOND, MINUTE, 5 * MINUTE]));
  }
  if (chance.happens(0.4))
    for (let i = chance.between(1, 3); i > 0; i--) later('operator', () => world.operators.operate());
  // Of what fails where nobody outside can repeat it, a supervisor decides: that is mostly a deadline.
  if (chance.happens(0.4))
    for (let i = chance.between(1, 4); i > 0; i--) {
      const flaw = chance.pick(FELT);
      later('flaw before a deadline', () => !world.calm && world.operators.flawNext(flaw));
    }
}
