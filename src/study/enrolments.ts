/**
 * Enrolments that come side by side share a transaction: a study's first day enrols thousands, and a transaction of its own
 * for each would let them, and all else that is written, wait for one COMMIT after the other.
 *
 * In it the participant's row, the actor and its handler come to be, or none of them. A phone number belongs to one active
 * participant per flow. When its participant has withdrawn or completed, the number may enrol anew: the old row keeps the
 * number with its own id behind it, so that the history stays whole.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { PhoneNumberTakenError } from '../errors.ts';
import type { AnyFlow } from '../flow/flow.ts';
import { formsOf, lineOf } from '../messaging/address.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { isGeneral } from '../store/store.ts';
import type { Transaction } from '../transaction/api.ts';
import type { ParticipantStatus } from './participation.ts';

/** How many share a transaction at the most. */
const GROUP = 100;

/** Who has a number: nobody else of the flow may have it. */
export const ACTIVE: readonly ParticipantStatus[] = ['active', 'paused'];

/** The columns of a new participant that an enrolment looks at. */
interface NewParticipant {
  id: string;
  phone_number: string;
  status: string;
  opted_out?: boolean;
}

/** An enrolment that waits for its transaction. */
interface Waiting {
  row: NewParticipant;
  input: object;
  /** Runs a function in the caller's context: its request, its trace. */
  within: <T>(body: () => T) => T;
  resolve: (enrolled: NewParticipant) => void;
  reject: (error: unknown) => void;
}

/** Enrols the participants of one flow. */
export class Enrolments {
  readonly #runtime: Runtime;
  readonly #table: string;
  readonly #flow: AnyFlow;
  readonly #waiting: Waiting[] = [];
  #isBusy = false;

  constructor(runtime: Runtime, table: string, flow: AnyFlow) {
    this.#runtime = runtime;
    this.#table = table;
    this.#flow = flow;
  }

  /**
   * Enrols one, with what its machine begins with. A number that has said STOP is enrolled as `withdrawn`.
   * @returns the row
   * @throws {PhoneNumberTakenError}
   */
  add<P extends NewParticipant>(row: P, input: object): Promise<P> {
    return new Promise<P>((resolve, reject) => {
      const within = AsyncLocalStorage.snapshot();
      this.#waiting.push({ row, input, within, resolve: resolve as Waiting['resolve'], reject });
      if (!this.#isBusy) void this.#run();
    });
  }

  /** Enrols those that wait, group by group, until nobody does. */
  async #run(): Promise<void> {
    this.#isBusy = true;
    await Promise.resolve(); // those of this moment come along
    while (this.#waiting.length > 0) await this.#together(this.#waiting.splice(0, GROUP));
    this.#isBusy = false;
  }

  /** Where one of a group cannot be written, nothing is: each is on its own then, and only that one fails. */
  async #together(group: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#runtime.transaction((trx) => this.#write(trx, group));
      group.forEach(({ resolve, reject }, i) => {
        const outcome = outcomes[i]!;
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      });
    } catch (error) {
      if (group.length === 1 || isGeneral(error)) for (const { reject } of group) reject(error);
      else for (const each of group) await this.#together([each]);
    }
  }

  /** @returns for each its row, or why it was not enrolled */
  async #write(trx: Transaction, group: readonly Waiting[]): Promise<(NewParticipant | Error)[]> {
    const numbers = (rows: readonly { phone_number: string }[]) => rows.map(({ phone_number }) => lineOf(phone_number));
    const forms = group.flatMap(({ row }) => formsOf(row.phone_number));
    const active = trx(this.#table).whereIn('phone_number', forms).whereIn('status', ACTIVE);
    const taken = new Set(numbers(await active.select('phone_number')));
    const stops: { address: string }[] = await trx('opt_outs').whereIn('address', forms).select('address');
    const optedOut = new Set(stops.map(({ address }) => lineOf(address)));
    const outcomes = group.map(({ row }) => {
      const line = lineOf(row.phone_number);
      if (taken.has(line)) return numberTaken(row.phone_number);
      taken.add(line);
      return optedOut.has(line) ? { ...row, status: 'withdrawn', opted_out: true } : row;
    });
    const enrolled = outcomes.filter((outcome): outcome is NewParticipant => !(outcome instanceof Error));
    if (enrolled.length === 0) return outcomes;
    const freed = enrolled.flatMap(({ phone_number }) => formsOf(phone_number));
    await trx(this.#table)
      .whereIn('phone_number', freed)
      .update({ phone_number: trx.raw("phone_number || ' (' || id || ')'") });
    await trx('response_handlers').whereIn('phone_number', freed).where({ flow_type: this.#flow.type }).delete();
    await trx(this.#table).insert(enrolled.map(({ opted_out: _, ...row }) => row));
    for (const [i, { within, input }] of group.entries()) {
      const row = outcomes[i]!;
      if (!(row instanceof Error)) await within(() => this.#begin(trx, row, input));
    }
    return outcomes;
  }

  async #begin(
    trx: Transaction,
    { id, phone_number, opted_out: optedOut }: NewParticipant,
    input: object,
  ): Promise<void> {
    const begun = optedOut ? { ...input, optedOut } : input;
    await trx.spawn(this.#flow, id, { input: begun, phoneNumber: phone_number });
    if (optedOut) await trx.actor(this.#flow, id).send({ type: 'withdraw' });
  }
}

const numberTaken = (phoneNumber: string) =>
  new PhoneNumberTakenError(
    `${phoneNumber} belongs to an active participant already. Withdraw that one first, or use another number.`,
  );
