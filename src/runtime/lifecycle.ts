/**
 * Runs the supervisor's machine (machines/supervisor.ts) for one runtime: hands it the steps, and watches the runtime's
 * events for what makes it degraded.
 */
import { createActor, fromPromise, type SnapshotFrom } from 'xstate';
import { type Purpose, supervisorMachine } from '../../machines/supervisor.ts';
import { type Address, formatAddress, InvalidArgumentError, NotRunningError } from '../errors.ts';
import type { EventChannel, Life } from '../events.ts';

type Snapshot = SnapshotFrom<typeof supervisorMachine>;

/** Where the runtime stands, and what is known to be wrong. */
export interface Health {
  /** `running`: it takes events. See the machine for what each state means. */
  status: Life;
  /** `degraded`: it goes on, and somebody should look. */
  health: 'healthy' | 'degraded';
  /** What is wrong, by what it is about, in words. */
  troubles: Readonly<Record<string, string>>;
}

/** What the machine's steps do. A step that was given up has its signal aborted, and the next one waits for its end. */
export type Steps = Record<
  'boot' | 'migrate' | 'recover' | 'drain' | 'release',
  (purpose: Purpose, signal: AbortSignal) => Promise<void>
>;

export class Supervisor {
  readonly #actor;
  readonly #events: EventChannel;
  /** By flow that escalates, who is in quarantine. */
  readonly #escalated = new Map<string, Set<string>>();
  /** By flow, how many actors run away. */
  readonly #runaways = new Map<string, number>();
  #step: Promise<unknown> = Promise.resolve();

  constructor(steps: Steps, events: EventChannel) {
    this.#events = events;
    const step = (run: Steps[keyof Steps]) =>
      fromPromise<void, Purpose>(({ input, signal }) => {
        const done = this.#step.then(() => run(input, signal));
        this.#step = done.catch(() => {}); // who asked for it is told
        return done;
      });
    this.#actor = createActor(
      supervisorMachine.provide({
        actors: {
          boot: step(steps.boot),
          migrate: step(steps.migrate),
          recover: step(steps.recover),
          drain: step(steps.drain),
          release: step(steps.release),
        },
      }),
    );
    let told = this.#actor.getSnapshot();
    this.#actor.subscribe((snapshot) => {
      const { life, health } = snapshot.value;
      if (life === told.value.life && snapshot.context.troubles === told.context.troubles) return;
      told = snapshot;
      events.emit('status', { status: life, health, troubles: snapshot.context.troubles });
    });
    this.#actor.start();
    this.#watch();
  }

  get health(): Health {
    const { value, context } = this.#actor.getSnapshot();
    return { status: value.life, health: value.health, troubles: context.troubles };
  }

  get life(): Life {
    return this.#actor.getSnapshot().value.life;
  }

  /** Whether events, messages and commands are taken. */
  get open(): boolean {
    return this.#actor.getSnapshot().hasTag('open');
  }

  /**
   * Starts; resolves once it runs, or, for `recover`, once it has ended.
   * @throws what a step threw
   * @throws {NotRunningError} it was stopped meanwhile
   */
  async start(purpose: Purpose): Promise<void> {
    if (!this.#actor.getSnapshot().can({ type: 'start', purpose }))
      throw new InvalidArgumentError(`The runtime is started already: it is ${this.life}.`);
    this.#escalated.clear();
    this.#runaways.clear();
    this.#actor.send({ type: 'start', purpose });
    const { value, context } = await this.#until('running', 'stopped');
    if (context.error !== null) throw context.error;
    if (value.life === 'stopped' && purpose !== 'recover')
      throw new NotRunningError('The runtime was stopped before it had started.');
  }

  /** Stops; resolves once all is closed. @throws what the draining threw; why a start failed was told by the start */
  async stop(): Promise<void> {
    const { error: known } = this.#actor.getSnapshot().context;
    this.#actor.send({ type: 'stop' });
    const { context } = await this.#until('stopped');
    if (context.error !== known) throw context.error;
  }

  /** From now on it counts as stopped. Resolves once the step that was under way has ended. */
  async abandon(): Promise<void> {
    this.#actor.send({ type: 'abandon' });
    await this.#step;
  }

  /** The actor is in quarantine, and its flow wants that to be known. */
  escalate(address: Address): void {
    this.#escalate(address, true);
  }

  trouble(about: string, reason: string): void {
    this.#actor.send({ type: 'trouble', about, reason });
  }

  relieve(about: string): void {
    if (about in this.#actor.getSnapshot().context.troubles) this.#actor.send({ type: 'relief', about });
  }

  #until(...lives: Life[]): Promise<Snapshot> {
    return new Promise((resolve) => {
      const look = (snapshot: Snapshot) => {
        if (!lives.includes(snapshot.value.life)) return false;
        resolve(snapshot);
        return true;
      };
      if (look(this.#actor.getSnapshot())) return;
      const { unsubscribe } = this.#actor.subscribe((snapshot) => look(snapshot) && unsubscribe());
    });
  }

  #watch(): void {
    this.#events.on('commitFailed', ({ error }) =>
      this.trouble('database', `The last write failed: ${error.message} It is tried again every few seconds.`),
    );
    this.#events.on('turn', () => this.relieve('database'));
    this.#events.on('writable', () => this.relieve('database'));
    this.#events.on('quarantined', ({ address, escalated }) => escalated && this.escalate(address));
    this.#events.on('runaway', ({ address }) => this.#runsAway(address, true));
    this.#events.on('calmed', ({ address }) => this.#runsAway(address, false));
    for (const relief of ['retried', 'discarded', 'removed'] as const)
      this.#events.on(relief, ({ address }) => this.#escalate(address, false));
  }

  #runsAway({ flowType }: Address, isNew: boolean): void {
    const about = `deadlines of ${flowType}`;
    const count = (this.#runaways.get(flowType) ?? 0) + (isNew ? 1 : -1);
    this.#runaways.set(flowType, count);
    if (count <= 0) this.relieve(about);
    else {
      const whose = count === 1 ? 'one actor' : `${count} actors`;
      this.trouble(about, `The deadlines of ${whose} are always due, and were slowed down. The log names them.`);
    }
  }

  #escalate(address: Address, escalated: boolean): void {
    const { flowType } = address;
    const aside = this.#escalated.get(flowType) ?? new Set();
    if (escalated) this.#escalated.set(flowType, aside.add(formatAddress(address)));
    else if (!aside.delete(formatAddress(address))) return;
    const about = `flow ${flowType}`;
    if (aside.size === 0) this.relieve(about);
    else {
      const who = aside.size === 1 ? 'One actor is' : `${aside.size} actors are`;
      this.trouble(about, `${who} in quarantine by escalation. See: perdure quarantine list.`);
    }
  }
}
