/** One schedule: a world drawn from a seed, lived through step by step. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { eventLoop } from '../../src/immediate.ts';
import type { AnyFlow } from '../../src/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Chance } from './chance.ts';
import { SimulatedDatabase } from './database.ts';
import { Ledger } from './ledger.ts';
import { EVENTS, GENERATED, generatedFlow } from './machines.ts';
import { setOutside, theOutside } from './outside.ts';
import { quiescence } from './quiescence.ts';
import { OUTSIDE, Scheduler } from './scheduler.ts';
import { type Faults, HOUR, MINUTE, type Person } from './surroundings.ts';
import { planTrials } from './trials.ts';
import { Violation } from './violation.ts';
import { World } from './world.ts';

export interface Schedule {
  seed: number;
  steps: number;
  turns: number;
  /** The same for every run of the seed. */
  digest: number;
  violation?: Violation;
  /** What happened, line by line, if that was asked for. */
  trace: string[];
}

const START = Date.UTC(2026, 2, 28, 22); // the night in which summer time begins in Europe
/** Beyond this many, a schedule does not come to rest. */
const MOST_STEPS = 200_000;
/** After the last fault, in ms. */
const AFTERMATH = 10 * MINUTE;

const conversation = createConversationFlow({
  generate: ({ messages }, signal) => {
    const actor = /p_\d+/.exec(messages[0]!.content)![0];
    return theOutside().call(actor, `${actor}/${hash(JSON.stringify(messages))}`, signal) as Promise<{ text: string }>;
  },
});

const WORDS = ['1', '2', '3', '4', 'ready', 'done', 'no', 'yes', 'because', 'blah', 'STOP', 'STOP', 'START', 'HELP'];

/** Lives through the schedule of a seed. */
export async function simulate(seed: number, { traced = false } = {}): Promise<Schedule> {
  const chance = new Chance(seed);
  const jumps = chance.happens(0.2);
  const scheduler = new Scheduler(START, chance, {
    disorder: chance.pick([0, 0.2, 1]),
    haste: chance.pick([0, 0.01, 0.05]),
    longestWait: jumps ? 30_000 : Number.POSITIVE_INFINITY,
  });
  const schedule: Schedule = { seed, steps: 0, turns: 0, digest: 0, trace: [] };
  const trace = (text: string) => void schedule.trace.push(`${stamp(scheduler)}  ${text}`);
  const tell = (text: string) => {
    schedule.digest = hash(text, schedule.digest);
    if (traced) trace(text);
  };
  const machine = chance.below(1_000_000);
  const people = drawPeople(chance);
  // Chance of its own, so that the rest of a world goes as it went without it.
  const more = new Chance(Math.imul(seed, 0x85ebca6b));
  const keepsBooks = more.happens(0.5);
  const database: SimulatedDatabase = new SimulatedDatabase(scheduler, (statement) => world.fate(statement));
  const flowOf = (flowType: string, version: number): AnyFlow =>
    flowType === GENERATED
      ? generatedFlow(machine, version, keepsBooks)
      : flowType === 'conversation'
        ? conversation
        : microHealthInterventionFlow;
  const world: World = new World({
    scheduler,
    database,
    chance,
    faults: drawFaults(chance),
    people,
    seed: String(seed),
    flows: (version) =>
      [...new Set(people.map(({ flowType }) => flowType))].map((flowType) => flowOf(flowType, version)),
    tell,
  });
  world.ledger = new Ledger(database, world, String(seed), flowOf);
  setOutside(world);
  const restore = takeGlobals(scheduler, chance);
  const wait = plan(world, scheduler, chance, people, jumps);
  if (keepsBooks) planTrials(world, more, wait);
  try {
    world.boot();
    let limit = wait;
    for (let calm = false; ; ) {
      await quiescence();
      if (database.changed) {
        database.changed = false;
        await world.ledger.catchUp();
      }
      if (world.violation) throw world.violation;
      const step = scheduler.next(limit);
      if (!step) {
        if (calm) break;
        calm = true;
        limit = Math.max(scheduler.elapsed, limit) + AFTERMATH;
        world.calmDown();
        // The clock is right again, and no instant comes for the second time.
        if (scheduler.offset < START) scheduler.offset = START;
        for (const at of [0, 4 * MINUTE])
          scheduler.after(at, 'the operator looks', () => world.operators.operate(), OUTSIDE);
        continue;
      }
      schedule.steps++;
      if (schedule.steps > MOST_STEPS)
        throw new Violation('rest', `it does not come to rest within ${MOST_STEPS} steps`);
      if (traced) trace(typeof step.label === 'string' ? step.label : step.label());
      step.run();
    }
    world.close();
  } catch (error) {
    if (!(error instanceof Violation)) (error as Error).message += ` (seed ${seed})`;
    if (!(error instanceof Violation)) throw error;
    schedule.violation = error;
  } finally {
    restore();
    database.close();
  }
  schedule.turns = world.ledger.turns;
  return schedule;
}

/** What people and operators do, and when; gives the time at which all has been begun. */
function plan(world: World, scheduler: Scheduler, chance: Chance, people: Person[], jumps: boolean): number {
  let at = 0;
  const later = (label: string, run: () => void) => {
    at += chance.pick([0, 0, 0, 100, 5_000, 20_000, MINUTE, MINUTE, 2 * MINUTE]);
    scheduler.after(at, label, run, OUTSIDE);
  };
  for (const person of people) later('enrol', () => world.users.spawn(person));
  // Many short lives find more than few long ones; what needs a long one is still found.
  const doings = chance.happens(0.92)
    ? chance.below(3)
    : chance.happens(0.8)
      ? chance.between(3, 6)
      : chance.between(7, 16);
  const violence = chance.pick([0, 0.1, 0.3]);
  const night = !jumps && chance.happens(0.1) ? chance.below(doings) : -1;
  for (let i = 0; i < doings; i++) {
    if (i === night) at += chance.pick([HOUR, HOUR, 3 * HOUR, 12 * HOUR]);
    const person = chance.pick(people);
    const generated = person.flowType === GENERATED;
    // Who comes back, while the carrier may still repeat the STOP.
    const wavers = !generated && chance.happens(0.15);
    if (wavers) for (const word of ['STOP', 'START']) later('message', () => world.users.write(person, word));
    if (chance.happens(violence)) later('crash', () => world.crash('anywhere'));
    if (chance.happens(0.05)) later('stop', () => world.stop());
    if (jumps && chance.happens(0.2))
      later('clock', () => world.setClock(chance.pick([-HOUR, -MINUTE, MINUTE, 3 * HOUR])));
    if (chance.happens(0.1)) later('operator', () => world.operators.operate());
    if (generated && chance.happens(0.06)) later('poison', () => world.operators.flaw(person, 'guard'));
    if (generated) {
      const type = chance.pick(EVENTS);
      const poison = chance.happens(0.1);
      if (chance.happens(0.5)) later('message', () => world.users.write(person, poison ? `${type} poison` : type));
      else later('event', () => world.users.send(person, type, poison));
    } else if (person.flowType === 'conversation') {
      later('message', () =>
        world.users.write(person, chance.pick(['hello', 'and then?', 'STOP', 'START', 'HELP', `n ${i}`])),
      );
    } else later('message', () => world.users.write(person, chance.pick(WORDS)));
  }
  return at + chance.pick([0, 0, MINUTE, 5 * MINUTE]);
}

function drawPeople(chance: Chance): Person[] {
  const kinds = chance.pick([
    [GENERATED],
    [GENERATED],
    [GENERATED],
    [GENERATED],
    [GENERATED],
    [GENERATED, GENERATED],
    ['conversation'],
    ['micro_health_intervention'],
    ['micro_health_intervention'],
    chance.pick([
      [GENERATED, 'conversation'],
      [GENERATED, 'micro_health_intervention'],
      ['conversation', 'micro_health_intervention'],
    ]),
  ]);
  return kinds.map((flowType, i) => {
    const participantId = `p_${i}`;
    const inputs: Record<string, object> = {
      [GENERATED]: { id: participantId, name: participantId, peer: `p_${(i + 1) % kinds.length}` },
      conversation: { participantId, systemPrompt: `Be kind to ${participantId}.` },
      micro_health_intervention: {
        participantId,
        timezone: chance.pick(['UTC', 'Europe/Berlin', 'America/New_York']),
        dailyPromptTime: '10:00',
      },
    };
    return {
      flowType,
      participantId,
      phoneNumber: `+1555123456${i}`,
      input: inputs[flowType],
      spawned: false,
      lives: 1,
    };
  });
}

/** Most schedules know few kinds of faults, some many: what hides behind another fault is found as well. */
function drawFaults(chance: Chance): Faults {
  const draw = (most: number) => (chance.happens(0.6) ? 0 : chance.number() * most);
  return {
    refused: draw(0.15),
    unknown: draw(0.2),
    slow: draw(0.1),
    crashAtStatement: draw(0.05),
    sendFails: draw(0.3),
    sendHangs: draw(0.2),
    sentAndFails: draw(0.3),
    callRejects: draw(0.5),
    callThrows: draw(0.3),
    callNever: draw(0.3),
    callLate: draw(0.4),
    duplicate: draw(0.6),
  };
}

/** The engine's `setImmediate` becomes a step of the process, its real time is the scheduler's, and the chance of its jitter the schedule's. */
function takeGlobals(scheduler: Scheduler, chance: Chance): () => void {
  const { setImmediate, setTimeout, clearTimeout } = globalThis;
  const { now } = performance;
  const { random } = Math;
  const { run, enterWith } = AsyncLocalStorage.prototype;
  const contexts = new Set<AsyncLocalStorage<unknown>>();
  globalThis.setImmediate = ((fn: (...args: unknown[]) => void, ...args: unknown[]) =>
    scheduler.add('immediate', () => fn(...args))) as never;
  const own = eventLoop.setImmediate;
  eventLoop.setImmediate = globalThis.setImmediate;
  globalThis.setTimeout = ((fn: () => void, ms: number) => {
    const arm = () => scheduler.after(ms, 'real time', fn);
    let timer = arm();
    const clear = () => scheduler.clock.clearTimeout(timer);
    const refresh = () => {
      clear();
      timer = arm();
    };
    const handle = { clear, refresh, unref: () => handle };
    return handle;
  }) as never;
  globalThis.clearTimeout = ((timer?: { clear(): void }) => timer?.clear()) as never;
  performance.now = () => scheduler.elapsed;
  Math.random = () => chance.number();
  AsyncLocalStorage.prototype.run = function (this: AsyncLocalStorage<unknown>, ...args: never[]) {
    contexts.add(this);
    return (run as any).apply(this, args);
  } as never;
  AsyncLocalStorage.prototype.enterWith = function (store: unknown) {
    contexts.add(this);
    enterWith.call(this, store);
  };
  return () => {
    Object.assign(globalThis, { setImmediate, setTimeout, clearTimeout });
    eventLoop.setImmediate = own;
    performance.now = now;
    Math.random = random;
    Object.assign(AsyncLocalStorage.prototype, { run, enterWith });
    // Those of processes that died would make all promises to come dearer.
    for (const context of contexts) context.disable();
  };
}

const stamp = ({ clock }: Scheduler) => new Date(clock.now()).toISOString().slice(5, -1);

function hash(text: string, from = 0): number {
  let value = from;
  for (let i = 0; i < text.length; i++) value = (Math.imul(value, 31) + text.charCodeAt(i)) | 0;
  return value;
}
