/**
 * The one thread of a simulated world. Whatever takes time (a statement of the database, a callback, a timer, a message
 * on its way) is a step, and the scheduler picks which of those that are ready comes next. Between two steps all promises
 * settle, so that a schedule is a list of steps and nothing else.
 *
 * A step belongs to a life of the process, or to the world outside (life 0). When the process dies, its steps die with it.
 */
import TinyQueue from 'tinyqueue';
import type { Clock } from '../../src/clock.ts';
import type { Chance } from './chance.ts';

export const OUTSIDE = 0;
/** In ms; a statement that is slow takes longer, as its fate has it. */
const LONGEST_STEP = 10_000;

export interface Step {
  /** For the trace. */
  label: string | (() => string);
  life: number;
  run: () => void;
}

interface Timer extends Step {
  at: number;
  sequence: number;
  cancelled: boolean;
}

/** How a schedule is picked. */
export interface Temper {
  /** How often the next step is any of those that are ready, and not the one that waits for longest. */
  disorder: number;
  /** How often time passes although something is ready: a step may take long. */
  haste: number;
  /** In ms: what waits longer is called after that, to look again. As the system's clock does, since it may be set. */
  longestWait: number;
}

export class Scheduler {
  readonly clock: Clock;
  /** What is added belongs to this life. */
  life = 1;
  /** What the wall clock shows beyond the time that has passed, in ms: clocks are set, forward and backward. */
  offset: number;
  /** The time that has passed, in ms; timers run by it. */
  elapsed = 0;
  readonly #chance: Chance;
  readonly #temper: Temper;
  #ready: Step[] = [];
  #sequence = 0;
  readonly #timers = new TinyQueue<Timer>([], (a, b) => a.at - b.at || a.sequence - b.sequence);

  constructor(start: number, chance: Chance, temper: Temper) {
    this.offset = start;
    this.#chance = chance;
    this.#temper = temper;
    this.clock = {
      now: () => this.offset + this.elapsed,
      setTimeout: (fn, ms) => this.after(Math.min(ms, temper.longestWait), 'timer', fn),
      clearTimeout: (handle) => {
        if (!handle) return;
        (handle as Timer).cancelled = true;
        // Also one whose time has come, as long as it was not called.
        const at = this.#ready.indexOf(handle as Timer);
        if (at >= 0) this.#ready.splice(at, 1);
      },
    };
  }

  add(label: Step['label'], run: () => void, life = this.life): void {
    this.#ready.push({ label, run, life });
  }

  /** Makes a step ready once so many ms have passed. */
  after(ms: number, label: Step['label'], run: () => void, life = this.life): unknown {
    const at = this.elapsed + Math.max(0, Math.ceil(ms));
    const timer = { label, run, life, at, sequence: this.#sequence++, cancelled: false };
    this.#timers.push(timer);
    return timer;
  }

  /** From now on no step takes time: an answer that is late counts as none. */
  calmDown(): void {
    this.#temper.haste = 0;
  }

  /** The process of this life is dead. */
  bury(life: number): void {
    this.#ready = this.#ready.filter((step) => step.life !== life);
    for (const timer of this.#timers.data) if (timer.life === life) timer.cancelled = true;
  }

  /** The next step; `undefined` where none is ready before `limit`. */
  next(limit: number): Step | undefined {
    this.#wakeUp();
    const idle = this.#ready.length === 0;
    if (idle || this.#chance.happens(this.#temper.haste)) {
      const timer = this.#earliest();
      if (timer && timer.at <= limit && (idle || timer.at <= this.elapsed + LONGEST_STEP)) {
        this.elapsed = Math.max(this.elapsed, timer.at);
        this.#wakeUp();
      }
    }
    if (this.#ready.length === 0) return undefined;
    const any = this.#ready.length > 1 && this.#chance.happens(this.#temper.disorder);
    return this.#ready.splice(any ? this.#chance.below(this.#ready.length) : 0, 1)[0];
  }

  /** Lets timers come that are due. */
  #wakeUp(): void {
    for (let timer = this.#earliest(); timer && timer.at <= this.elapsed; timer = this.#earliest()) {
      this.#timers.pop();
      this.#ready.push(timer);
    }
  }

  #earliest(): Timer | undefined {
    for (let timer = this.#timers.peek(); timer?.cancelled; timer = this.#timers.peek()) this.#timers.pop();
    return this.#timers.peek();
  }
}
