/**
 * The services that flows invoke, played by a test. They are the world outside: they know what they were asked for and what
 * they answered, and live on when the runtime crashes. An invocation that is run again after a crash has its key again, and
 * gets the answer that was given to it before, or waits on.
 */
import { type AnyActorLogic, type AnyActorRef, type AnyStateMachine, fromPromise } from 'xstate';
import { invocationNames, kindOf } from '../../actor/logic.ts';
import { type Address, formatAddress, InvalidArgumentError } from '../../errors.ts';
import type { AnyFlow } from '../../flow/flow.ts';

/** One call of a stubbed invocation. */
export interface StubCall<TInput = any> {
  readonly input: TInput;
  /** The actor that invoked it; a child's calls are its root's. */
  readonly address: Address;
  /** The same for every call of this invocation, also after a crash; another invocation has another one. */
  readonly idempotencyKey: string;
  /** Which attempt of its policy it is, from 1; a restart begins anew. */
  readonly attempt: number;
  /** Aborted when the actor does not wait any more. */
  readonly signal: AbortSignal;
}

/** What a stub does with each call, in place of waiting for the test. */
export type StubAnswer<TInput = any, TOutput = any> = (call: StubCall<TInput>) => TOutput | Promise<TOutput>;

/** Where a stub stands in. */
export interface StubOptions {
  /** Only in this flow. Default: in all. */
  flow?: AnyFlow;
}

/** A service, played by a test. */
export interface Stub<TInput = any, TOutput = any> {
  readonly name: string;
  /** All calls so far, those that were made again after a crash among them. */
  readonly calls: readonly StubCall<TInput>[];
  /** How many invocations wait for an answer. */
  readonly waiting: number;
  /**
   * Answers the invocation that has waited for longest. Resolves once what follows from it has happened.
   * @throws {InvalidArgumentError} none waits
   */
  resolve(output: TOutput): Promise<void>;
  /** Lets the invocation that has waited for longest fail, likewise. */
  reject(error: unknown): Promise<void>;
}

export type Outcome = { output: unknown } | { error: unknown } | 'silence';

/** What the world was asked for, in as many calls as it took. */
export interface Order {
  readonly name: string;
  readonly flowType: string;
  readonly idempotencyKey: string;
  readonly input: unknown;
  /** By attempt. */
  readonly outcomes: Outcome[];
  attempts: number;
  /** Nobody waits for it any more. */
  dropped: boolean;
  answer: ((outcome: Outcome) => void) | undefined;
  life: number;
  /** Attempts in the present life of the runtime. */
  called: number;
}

interface Rule {
  name: string;
  flowType: string | undefined;
  answer: StubAnswer | undefined;
  calls: StubCall[];
}

/** All stubs of a test. */
export class Stubs {
  readonly #rules: Rule[] = [];
  readonly #orders = new Map<string, Order>();
  readonly #settle: () => Promise<void>;
  #life = 0;

  /** @param settle resolves once nothing is under way any more */
  constructor(settle: () => Promise<void>) {
    this.#settle = settle;
  }

  /** What was asked for, in order. */
  get orders(): Order[] {
    return [...this.#orders.values()];
  }

  /** The runtime goes down: what it still does with its calls means nothing. */
  down(): void {
    this.#life++;
    for (const order of this.#orders.values()) order.answer = undefined;
  }

  /** Forgets what was asked for and answered; the stubs stay. */
  reset(): void {
    this.down();
    this.#orders.clear();
    for (const rule of this.#rules) rule.calls.length = 0;
  }

  /** Stubs an invocation; a later stub of the same name takes the place of a former one. */
  add(name: string, answer: unknown, flows: readonly AnyFlow[]): Stub {
    assertNamed(name, flows);
    const rule: Rule = {
      name,
      flowType: flows.length === 1 ? flows[0]!.type : undefined,
      answer: answer === undefined || typeof answer === 'function' ? (answer as StubAnswer | undefined) : () => answer,
      calls: [],
    };
    this.#rules.unshift(rule);
    const waiting = () => this.waiting(name, rule.flowType);
    const settle = (outcome: Outcome) => {
      this.settle(name, outcome, rule.flowType);
      return this.#settle();
    };
    return {
      name,
      calls: rule.calls,
      get waiting() {
        return waiting().length;
      },
      resolve: (output) => settle({ output }),
      reject: (error) => settle({ error }),
    };
  }

  /** Orders without an outcome. Those that the runtime that is up has asked for come first. */
  waiting(name?: string, flowType?: string): Order[] {
    const all = this.orders.filter(
      (order) =>
        (name === undefined || order.name === name) &&
        (flowType === undefined || order.flowType === flowType) &&
        !order.dropped &&
        order.outcomes.length < order.attempts,
    );
    return [...all.filter((order) => this.isAttended(order)), ...all.filter((order) => !this.isAttended(order))];
  }

  /** Somebody waits for it who is not dead. */
  isAttended(order: Order): boolean {
    return order.life === this.#life && !order.dropped;
  }

  /** Gives an outcome to the order of that name that has waited for longest. */
  settle(name: string, outcome: Outcome, flowType?: string): void {
    const [order] = this.waiting(name, flowType);
    if (!order) {
      const others = this.waiting().map((other) => `'${other.name}'`);
      throw new InvalidArgumentError(
        `No invocation of '${name}' waits for an answer. ${others.length > 0 ? `These wait: ${others.join(', ')}.` : 'None waits at all.'}`,
      );
    }
    order.outcomes.push(outcome);
    const { answer } = order;
    order.answer = undefined;
    answer?.(outcome);
  }

  /** The flow, with every promise that it names under the stubs' control; without a stub it runs as it is. */
  apply<F extends AnyFlow>(flow: F): F {
    if (kindOf(flow.logic) !== 'machine') return flow;
    const seen = new Map<AnyStateMachine, AnyStateMachine>();
    const control = (machine: AnyStateMachine): AnyStateMachine => {
      const known = seen.get(machine);
      if (known) return known;
      seen.set(machine, machine); // one that invokes itself stays as it is there
      const actors: Record<string, AnyActorLogic> = {};
      for (const [name, logic] of Object.entries(machine.implementations.actors as Record<string, AnyActorLogic>)) {
        const kind = kindOf(logic);
        if (kind === 'promise') actors[name] = this.#promise(flow, name, logic);
        if (kind === 'machine') {
          const controlled = control(logic as AnyStateMachine);
          if (controlled !== logic) actors[name] = controlled;
        }
      }
      const controlled = Object.keys(actors).length > 0 ? machine.provide({ actors }) : machine;
      seen.set(machine, controlled);
      return controlled;
    };
    const logic = control(flow.logic);
    return logic === flow.logic ? flow : { ...flow, logic };
  }

  #promise({ type: flowType }: AnyFlow, name: string, logic: AnyActorLogic): AnyActorLogic {
    // `config` is the function given to fromPromise.
    const original = (logic as unknown as { config(args: object): Promise<unknown> }).config;
    return fromPromise((args) => {
      const rule = this.#rules.find((each) => each.name === name && (each.flowType ?? flowType) === flowType);
      return rule ? this.#call(rule, flowType, args) : original(args);
    });
  }

  #call(rule: Rule, flowType: string, args: { input: unknown; self: AnyActorRef; signal: AbortSignal }) {
    const { input, self, signal } = args;
    let root: AnyActorRef = self;
    while (root._parent) root = root._parent;
    const address = { flowType, participantId: root.id };
    const idempotencyKey = `${formatAddress(address)}:${self.sessionId}`;
    const order = this.#order(rule.name, flowType, idempotencyKey, input);
    const attempt = ++order.called;
    order.attempts = Math.max(order.attempts, attempt);
    order.dropped = false;
    const call: StubCall = { input, address, idempotencyKey, attempt, signal };
    rule.calls.push(call);
    const life = this.#life;
    signal.addEventListener('abort', () => {
      if (life !== this.#life || order.outcomes[attempt - 1]) return;
      order.outcomes[attempt - 1] = 'silence';
      order.answer = undefined;
      order.dropped = true;
    });
    if (rule.answer) return Promise.resolve(this.#answered(order, attempt, rule.answer, call));
    return new Promise<unknown>((resolve, reject) => {
      const answer = (outcome: Outcome) => {
        if (outcome === 'silence') return;
        if ('error' in outcome) reject(outcome.error);
        else resolve(outcome.output);
      };
      const known = order.outcomes[attempt - 1];
      if (known) answer(known);
      else order.answer = answer;
    });
  }

  async #answered(order: Order, attempt: number, answer: StubAnswer, call: StubCall): Promise<unknown> {
    try {
      const output = await answer(call);
      order.outcomes[attempt - 1] ??= { output };
      return output;
    } catch (error) {
      order.outcomes[attempt - 1] ??= { error };
      throw error;
    }
  }

  #order(name: string, flowType: string, idempotencyKey: string, input: unknown): Order {
    let order = this.#orders.get(idempotencyKey);
    if (!order) {
      const fresh = { outcomes: [], attempts: 0, dropped: false, answer: undefined, life: this.#life, called: 0 };
      order = { name, flowType, idempotencyKey, input, ...fresh };
      this.#orders.set(idempotencyKey, order);
    }
    if (order.life !== this.#life) Object.assign(order, { life: this.#life, called: 0 });
    return order;
  }
}

/** @throws {InvalidArgumentError} no flow has a promise of that name */
function assertNamed(name: string, flows: readonly AnyFlow[]): void {
  const promises = new Set<string>();
  for (const { logic } of flows) promiseNames(logic, promises);
  if (promises.has(name)) return;
  const known = flows.some(({ logic }) => invocationNames(logic).has(name));
  const names = [...promises].map((each) => `'${each}'`).join(', ');
  throw new InvalidArgumentError(
    known
      ? `'${name}' is no promise, and only promises can be stubbed.`
      : `No flow names an actor '${name}' in setup({ actors }). ${names ? `These can be stubbed: ${names}.` : ''}`.trim(),
  );
}

/** The names of the promises that the logic, and the machines in it, can invoke or spawn. */
export function promiseNames(logic: AnyActorLogic, names = new Set<string>(), seen = new Set<unknown>()) {
  if (kindOf(logic) !== 'machine' || seen.has(logic)) return names;
  seen.add(logic);
  const { actors } = (logic as AnyStateMachine).implementations;
  for (const [name, actor] of Object.entries(actors as Record<string, AnyActorLogic>)) {
    if (kindOf(actor) === 'promise') names.add(name);
    else promiseNames(actor, names, seen);
  }
  return names;
}
