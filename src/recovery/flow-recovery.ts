/**
 * The recovery of a flow's actors. What an actor needs in order to go on is in its row, so that there is little to do but to
 * look: `lazy` looks at the deadlines that cannot be meant, `verify` at every row, by restoring it.
 */
import { asText } from '../actor/codec.ts';
import type { LiveActor } from '../actor/live-actor.ts';
import { formatInstant } from '../clock.ts';
import { ActorNotFoundError } from '../errors.ts';
import { type AnyFlow, boundUntil } from '../flow/flow.ts';
import { immediate } from '../immediate.ts';
import { addressFault } from '../messaging/address.ts';
import { sentence } from '../sentence.ts';
import { type ActorRow, addressOf, type BoundRow, isEnded } from '../store/rows.ts';
import { errorOf } from '../thrown.ts';
import { MOST_FINDINGS } from './report.ts';
import type { ParticipantRecoverable, Recoverable, RecoveryRegistry } from './services.ts';

/** Rows that are read at once: of the size of a snapshot each, so that memory stays small. */
const PAGE = 500;
/** So many are restored in one go; in between, what the database and others have to say is heard. */
const BREATH = 25;
/** No deadline of ours is older than this: where one is, an instant was lost on the way into the database. */
const EARLIEST = Date.UTC(2000, 0, 1);
/** A deadline further away than this, in ms, is hardly meant. */
const CENTURY = 100 * 365.25 * 86_400_000;

/** What the recovery of a flow does besides. */
export interface FlowRecoveryOptions {
  /** Names it in the report. Default: the flow's type. */
  name?: string;
  /** What the flow itself asks of a restored actor. */
  check?: (snapshot: any) => string | undefined;
  /** The table of the flow's participants: id, phone_number, status. Default: none, whoever has a row is one. */
  participants?: string;
}

export class FlowRecovery implements ParticipantRecoverable {
  readonly name: string;
  readonly flowType: string;
  readonly #flow: AnyFlow;
  readonly #options: FlowRecoveryOptions;
  /** The numbers that this recovery binds, and to whom: a row that was read before does not say so. */
  readonly #bound = new Map<string, string>();

  constructor(flow: AnyFlow, options: FlowRecoveryOptions = {}) {
    this.#flow = flow;
    this.#options = options;
    this.flowType = flow.type;
    this.name = options.name ?? flow.type;
  }

  async recoverState(registry: RecoveryRegistry): Promise<void> {
    if (registry.mode === 'lazy') return this.#suspicious(registry);
    const { report } = registry;
    const total = report.recovered + report.skipped.quarantined;
    report.recovered = 0;
    report.skipped.quarantined = 0;
    report.handlers.expired = 0;
    let done = 0;
    let next: Promise<BoundRow[]> | undefined = this.#rows(registry, 0);
    try {
      while (next) {
        const rows: BoundRow[] = await next;
        // The database reads the next page while this one is restored.
        next = rows.length < PAGE ? undefined : this.#rows(registry, rows.at(-1)!.id);
        next?.catch(() => {}); // told above, unless this page fails before
        await this.#page(rows, registry);
        done += rows.length;
        registry.progress(done, total);
      }
    } finally {
      this.#bound.clear();
      await next?.catch(() => {}); // nobody reads on when this is over
    }
    await this.#missing(registry);
  }

  /** @throws {ActorNotFoundError} it has no row */
  async recoverParticipant(participantId: string, registry: RecoveryRegistry): Promise<void> {
    const rows = await this.#rows(registry, 0, participantId);
    if (rows.length === 0) throw new ActorNotFoundError({ participantId, flowType: this.flowType });
    await this.#page(rows, registry);
  }

  /** The next page of the flow's rows, each with what else is known of its participant. */
  #rows({ store }: RecoveryRegistry, after: number, participantId?: string): Promise<BoundRow[]> {
    const { participants } = this.#options;
    return store.boundRows(this.flowType, after, PAGE, { participants, participantId });
  }

  /** By the index of deadlines: those that would fire at once, or never. */
  async #suspicious(registry: RecoveryRegistry): Promise<void> {
    const [earliest, far] = meant(registry.clock.now());
    await this.#due(registry, Number.NEGATIVE_INFINITY, earliest, async (row) => {
      registry.report.recovered--;
      await this.#putAside(registry, row, tooEarly(row.next_due_at!));
    });
    await this.#due(registry, far, Number.POSITIVE_INFINITY, (row) =>
      registry.notice({ ...addressOf(row), reason: tooLate(row.next_due_at!), action: KEPT }),
    );
  }

  /** The active ones whose earliest deadline is between two instants. */
  async #due(
    { store }: RecoveryRegistry,
    from: number,
    until: number,
    each: (row: ActorRow) => Promise<void> | void,
  ): Promise<void> {
    for (let place = { at: from, id: 0 }; ; ) {
      const rows = await store.dueBetween(this.flowType, place, until, PAGE);
      for (const row of rows) await each(row);
      const last = rows.at(-1);
      if (!last || rows.length < PAGE) return;
      place = { at: last.next_due_at!, id: last.id };
    }
  }

  async #page(rows: BoundRow[], registry: RecoveryRegistry): Promise<void> {
    const { report } = registry;
    for (const [i, row] of rows.entries()) {
      if (i % BREATH === 0) await immediate();
      if (row.status === 'quarantined') {
        report.skipped.quarantined++;
        registry.notice({
          ...addressOf(row),
          reason: row.last_error ?? 'It was put aside.',
          action: 'quarantined before; retry or discard it',
        });
        continue;
      }
      if (isEnded(row.status)) {
        report.skipped.ended++;
        continue;
      }
      if (row.status === 'active' && row.flow_version > this.#flow.version) {
        const reason = `It is of version ${row.flow_version}, and the newest here is ${this.#flow.version}.`;
        registry.failed({ ...addressOf(row), reason, action: 'sleeps until a release that knows it runs again' });
        continue;
      }
      const wrong = this.#wrong(row) ?? this.#examine(row, registry);
      if (typeof wrong === 'string') {
        await this.#putAside(registry, row, wrong);
        continue;
      }
      report.recovered++;
      await this.#realign(row, wrong, registry);
      await this.#bind(row, registry);
    }
  }

  /** What its columns alone say is wrong. */
  #wrong({ status, enrolled }: BoundRow): string | undefined {
    if (status !== 'active') return `Its row has '${status}' as its status, which is none.`;
    return enrolled === null ? this.#orphaned() : undefined;
  }

  /** The actor; or what is wrong with it. */
  #examine(row: ActorRow, { repairs, clock }: RecoveryRegistry): LiveActor | string {
    let live: LiveActor;
    try {
      live = repairs.examine(row);
    } catch (error) {
      return (error as Error).message;
    }
    const { context } = live.snapshot;
    if ('value' in live.snapshot && (typeof context !== 'object' || context === null || Array.isArray(context)))
      return `Its context is ${asText(context)}, and not an object.`;
    const wrong = this.#check(live.snapshot);
    if (wrong !== undefined) return wrong;
    const { nextDueAt } = live;
    if (nextDueAt !== undefined && nextDueAt < meant(clock.now())[0]) return tooEarly(nextDueAt);
    return live;
  }

  #check(snapshot: any): string | undefined {
    try {
      return this.#options.check?.(snapshot);
    } catch (error) {
      return `Its context could not be checked: ${sentence(errorOf(error).message)}`; // says nothing of the others
    }
  }

  /** The columns by which the row is found must say what its snapshot says. */
  async #realign(row: ActorRow, live: LiveActor, registry: RecoveryRegistry): Promise<void> {
    const nextDueAt = live.nextDueAt ?? null;
    const columns = {
      ...(row.next_due_at !== nextDueAt && { next_due_at: nextDueAt }),
      ...(row.lease_until === null && live.hasProcesses && { lease_until: registry.clock.now() }),
    };
    if (Object.keys(columns).length > 0) {
      registry.notice({
        ...addressOf(row),
        reason: `Its row says another ${Object.keys(columns).join(' and ')} than its snapshot.`,
        action: doing(registry, 'mended'),
      });
      if (!registry.dryRun) await registry.repairs.realign(row, columns);
    }
    const { lastDueAt = 0 } = live;
    if (lastDueAt > meant(registry.clock.now())[1])
      registry.notice({ ...addressOf(row), reason: tooLate(lastDueAt), action: KEPT });
  }

  async #bind(row: BoundRow, registry: RecoveryRegistry): Promise<void> {
    const { address: phoneNumber, participant_id: participantId } = row;
    if (phoneNumber === null) return;
    const owner = row.bound_to ?? this.#bound.get(phoneNumber);
    const now = registry.clock.now();
    const { handlerType } = this.#flow;
    const info = { phoneNumber, participantId, flowType: this.flowType, handlerType };
    const bind = () => registry.recoverResponseHandler({ ...info, ttl: boundUntil(this.#flow) - now });
    const lapsed = owner === participantId && (row.bound_until ?? 0) <= now;
    const wrong = owner === undefined || lapsed ? addressFault(phoneNumber) : undefined;
    if (wrong !== undefined) {
      registry.failed({ ...addressOf(row), reason: wrong, action: 'left as it is; mend its address in flow_states' });
    } else if (owner === undefined) {
      const binds = (await bind()) || registry.dryRun;
      if (binds) this.#bound.set(phoneNumber, participantId);
      registry.notice({
        ...addressOf(row),
        reason: `Its phone number ${phoneNumber} was not bound.`,
        action: binds ? doing(registry, 'bound') : 'left as it is',
      });
    } else if (owner !== participantId) {
      if (row.bound_status && isEnded(row.bound_status)) return; // it leads to this one
      registry.failed({
        ...addressOf(row),
        reason: `Its phone number ${phoneNumber} belongs to ${owner} as well, who gets the messages from there.`,
        action: 'left as it is; withdraw or delete one of the two',
      });
    } else if (lapsed) {
      await bind();
      registry.notice({
        ...addressOf(row),
        reason: `The binding of its phone number ${phoneNumber} says that it expired at ${formatInstant(row.bound_until!)}; it lasts as long as the actor runs.`,
        action: doing(registry, 'renewed'),
      });
    }
  }

  async #putAside(registry: RecoveryRegistry, row: ActorRow, reason: string): Promise<void> {
    registry.failed({ ...addressOf(row), reason, action: doing(registry, 'quarantined') });
    if (!registry.dryRun) await registry.repairs.putAside(row, reason);
  }

  #orphaned(): string {
    return `It has a row in flow_states and none in ${this.#options.participants}.`;
  }

  /** Participants without an actor. */
  async #missing(registry: RecoveryRegistry): Promise<void> {
    const { participants } = this.#options;
    if (participants === undefined) return;
    for (let after = ''; ; ) {
      const missing = await registry.store.withoutActor(this.flowType, participants, after, PAGE);
      for (const { id: participantId, other } of missing) {
        registry.failed({
          flowType: this.flowType,
          participantId,
          reason: `It has a row in ${participants} and, of the flow '${this.flowType}', none in flow_states${other === null ? '' : `, but one of the flow '${other}'`}.`,
          action: `left as it is; ${other === null ? 'delete it and enrol the person anew' : 'mend the flow_type of that row'}`,
        });
      }
      if (missing.length < PAGE) return;
      after = missing.at(-1)!.id;
    }
  }
}

/** Rows of a flow that nobody has registered. They stay as they are until somebody does. */
export class StrangerRecovery implements Recoverable, Pick<ParticipantRecoverable, 'flowType'> {
  readonly name: string;
  readonly flowType: string;

  constructor(flowType: string) {
    this.flowType = flowType;
    this.name = `unknown flow '${flowType}'`;
  }

  async recoverState(registry: RecoveryRegistry): Promise<void> {
    const { report, store } = registry;
    const total = report.recovered + report.skipped.quarantined;
    report.recovered = 0;
    report.skipped.quarantined = 0;
    const reason = `There is no flow '${this.flowType}'.`;
    const action = 'left as it is; give the flow to createRuntime({ flows })';
    const ids = await store.participantsOf(this.flowType, MOST_FINDINGS);
    for (const participantId of ids) registry.failed({ flowType: this.flowType, participantId, reason, action });
    report.unlisted.failed = total - ids.length;
  }
}

const KEPT = 'left as it is; cancel the deadline if it is not meant';

/** The first and the last instant that a deadline may be meant for. A clock that runs long ago is a test's, and right. */
const meant = (now: number): [number, number] => [now > EARLIEST ? EARLIEST : Number.NEGATIVE_INFINITY, now + CENTURY];

const doing = ({ dryRun }: RecoveryRegistry, what: string) => (dryRun ? `would be ${what}` : what);

const tooEarly = (dueAt: number) =>
  `Its deadline is ${formatInstant(dueAt)}: an instant was lost on the way into the database, and it would fire at once.`;
const tooLate = (dueAt: number) => `Its deadline is ${formatInstant(dueAt)}, more than a hundred years away.`;
