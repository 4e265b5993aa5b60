/** The reference: plain XState, in one process that never ends, on a clock that moves only when told to. */
import { type AnyActorRef, createActor, type EventObject, type InspectionEvent } from 'xstate';
import { withAmbient } from '../../src/machine/ambient.ts';
import {
  type Case,
  type Observation,
  Observer,
  RANDOM,
  type RawEmission,
  START,
  type Subject,
  type SubjectFactory,
} from './subject.ts';

export const plain: SubjectFactory = {
  name: 'plain XState',
  async start(ofCase) {
    const subject = new PlainSubject(ofCase);
    await subject.settle();
    return subject;
  },
};

class PlainSubject implements Subject {
  readonly #clock = new StepClock();
  readonly #observer = new Observer();
  readonly #root: AnyActorRef;
  #emissions: RawEmission[] = [];
  #failure: unknown;

  constructor({ logic, input }: Case) {
    this.#root = this.#ambiently(() => {
      const root = createActor(logic, {
        clock: this.#clock,
        input,
        inspect: (event: InspectionEvent) => this.#listen(event),
      } as never) as AnyActorRef;
      root.subscribe({
        error: (error) => {
          this.#failure = error;
        },
      });
      // Every event, also the result of a promise, goes this way.
      const system = root.system as unknown as { _relay(...args: unknown[]): void };
      const relay = system._relay;
      system._relay = (...args) => this.#ambiently(() => relay(...args));
      root.start();
      return root;
    });
  }

  async send(event: EventObject): Promise<void> {
    this.#root.send(event);
    await this.settle();
  }

  async advance(ms: number): Promise<void> {
    await this.#moveTo(this.#clock.now + ms);
  }

  async settle(): Promise<void> {
    await this.#moveTo(this.#clock.now);
  }

  observe(): Observation {
    if (this.#failure) throw this.#failure;
    const emissions = this.#emissions;
    this.#emissions = [];
    return this.#observer.observe(this.#root, emissions);
  }

  async end(): Promise<void> {
    this.#root.stop();
  }

  async #moveTo(instant: number): Promise<void> {
    await flush();
    while (this.#clock.fireNext(instant)) await flush();
    this.#clock.now = instant;
  }

  #ambiently<T>(body: () => T): T {
    return withAmbient({ now: () => this.#clock.now, random: () => RANDOM }, body);
  }

  #listen(event: InspectionEvent): void {
    if (event.type !== '@xstate.actor') return;
    const by = event.actorRef as AnyActorRef;
    by.on('*', (emitted: EventObject) => this.#emissions.push({ at: this.#clock.now, by, event: emitted }));
  }
}

/** Like real timers it knows whole milliseconds only. Fires in order of deadline, those of one deadline in the order in which they were set. */
class StepClock {
  now = START;
  #timeouts = new Map<number, { at: number; fn: () => void }>();
  #last = 0;

  readonly setTimeout = (fn: () => void, ms: number): number => {
    this.#timeouts.set(++this.#last, { at: this.now + Math.ceil(Math.max(0, ms)), fn });
    return this.#last;
  };

  readonly clearTimeout = (handle: number): void => {
    this.#timeouts.delete(handle);
  };

  /** Moves to the earliest deadline that lies not beyond `limit`, and fires it. */
  fireNext(limit: number): boolean {
    let next: [handle: number, timeout: { at: number; fn: () => void }] | undefined;
    for (const entry of this.#timeouts) {
      const { at } = entry[1];
      if (at <= limit && (!next || at < next[1].at)) next = entry;
    }
    if (!next) return false;
    this.#timeouts.delete(next[0]);
    this.now = next[1].at;
    next[1].fn();
    return true;
  }
}

/** Lets promises settle that need no time, however long their chains. */
async function flush(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
