/**
 * The reference: a plain XState actor in a process that never dies, on a clock that is set to the instant of each turn. It is
 * fed what the runtime's rows say was applied, and must come to the same state, deadlines and messages.
 */
import { type AnyActorLogic, type AnyActorRef, type AnyEventObject, createActor, type InspectionEvent } from 'xstate';
import { type Ambient, withAmbient } from '../../src/machine/ambient.ts';
import { type Outside, withOutside } from './outside.ts';

interface Deadline {
  type: string;
  /** The actor that it is for. */
  target: AnyActorRef;
  dueAt: number;
  fn: () => void;
}

interface Gate {
  key: string;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  /** The promise actor that waits. */
  settled: boolean;
  signal: AbortSignal;
}

export class Reference implements Outside {
  readonly #root: AnyActorRef;
  #ambient: Ambient;
  #deadlines: Deadline[] = [];
  #scheduling = { type: '', target: undefined as unknown as AnyActorRef };
  #gates: Gate[] = [];
  /** What the last turn emitted. */
  emitted: AnyEventObject[] = [];
  /** The keys of the custom actions of the last turn. */
  actions: string[] = [];
  /** Whose deadline was dropped last. */
  dropped: AnyActorRef | undefined;
  /** An error of the last turn, which the actor did not survive. */
  failure: unknown;

  constructor(logic: AnyActorLogic, input: unknown, ambient: Ambient) {
    this.#ambient = ambient;
    this.#root = this.#within(() => {
      const root = createActor(logic, {
        input,
        clock: {
          setTimeout: (fn: () => void, ms: number) => this.#arm(fn, ms),
          clearTimeout: (id: Deadline) => this.#disarm(id),
        },
        inspect: (event: InspectionEvent) => {
          if (event.type === '@xstate.actor')
            (event.actorRef as AnyActorRef).on('*', (emitted: AnyEventObject) => this.emitted.push(emitted));
        },
        logger: () => {},
      } as never) as AnyActorRef;
      root.subscribe({
        error: (error) => {
          this.failure = error;
        },
      });
      const system = root.system as any;
      const relay = system._relay;
      system._relay = (...args: unknown[]) => this.#within(() => relay(...args));
      const schedule = system.scheduler.schedule;
      system.scheduler.schedule = (source: unknown, target: unknown, event: AnyEventObject, ...rest: unknown[]) => {
        this.#scheduling = { type: event.type, target: target as AnyActorRef };
        schedule(source, target, event, ...rest);
      };
      root.start();
      return root;
    });
  }

  /** As XState itself persists it. */
  get persisted(): any {
    return this.#root.getPersistedSnapshot();
  }

  get snapshot(): any {
    return this.#root.getSnapshot();
  }

  /** Pending deadlines in their order. */
  get deadlines(): { type: string; dueAt: number }[] {
    return this.#deadlines.map(({ type, dueAt }) => ({ type, dueAt }));
  }

  /** What the state waits for. */
  get pendingCalls(): string[] {
    return this.#gates.filter((gate) => !gate.settled && !gate.signal.aborted).map(({ key }) => key);
  }

  /** From now on it is this turn. */
  begin(ambient: Ambient): void {
    this.#ambient = ambient;
    this.emitted = [];
    this.actions = [];
  }

  /** @param target a child, for which it is in place of the root */
  send(event: AnyEventObject, target = this.#root): void {
    if (target === this.#root) target.send(event);
    else if (target.getSnapshot().status === 'active') (this.#root.system as any)._relay(target, target, event);
  }

  /** Lets the earliest deadline fire. */
  fire(): void {
    this.#deadlines.shift()?.fn();
  }

  /** Takes the earliest deadline away. */
  drop(): void {
    this.dropped = this.#deadlines.shift()?.target;
  }

  /** Moves the earliest deadline. */
  postpone(dueAt: number): void {
    const deadline = this.#deadlines.shift()!;
    deadline.dueAt = dueAt;
    this.#insert(deadline);
  }

  stop(): void {
    this.#within(() => this.#root.stop());
    this.#deadlines = [];
  }

  /** Settles the promise of this key, and lets its actor hear of it. */
  async settle(key: string, outcome: { value: unknown } | { error: Error }): Promise<void> {
    const gate = this.#gates.findLast((each) => each.key === key && !each.settled && !each.signal.aborted);
    if (!gate) return;
    gate.settled = true;
    if ('value' in outcome) gate.resolve(outcome.value);
    else gate.reject(outcome.error);
    for (let i = 0; i < 8; i++) await null;
    this.#gates = this.#gates.filter((each) => !each.settled);
  }

  call(_: string, key: string, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => this.#gates.push({ key, resolve, reject, signal, settled: false }));
  }

  act(_: string, key: string): void {
    this.actions.push(key);
  }

  fails(): boolean {
    return false;
  }

  poisons(): boolean {
    return false;
  }

  #arm(fn: () => void, ms: number): Deadline {
    const deadline = { ...this.#scheduling, dueAt: Math.ceil(this.#ambient.now() + Math.max(0, ms)), fn };
    this.#insert(deadline);
    return deadline;
  }

  #insert(deadline: Deadline): void {
    let at = this.#deadlines.length;
    while (at > 0 && this.#deadlines[at - 1]!.dueAt > deadline.dueAt) at--;
    this.#deadlines.splice(at, 0, deadline);
  }

  #disarm(deadline: Deadline): void {
    this.#deadlines = this.#deadlines.filter((each) => each !== deadline);
  }

  #within<T>(body: () => T): T {
    return withOutside(this, () => withAmbient(this.#ambient, body));
  }
}
