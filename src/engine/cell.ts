/** One actor as the engine holds it: its mailbox, and what is in memory of it. */
import type { AnyEventObject } from 'xstate';
import type { LiveActor, Stimulus } from '../actor/live-actor.ts';
import { Processes, type ProcessHost } from '../actor/processes.ts';
import { type Address, formatAddress } from '../errors.ts';
import type { AnyFlow } from '../flow/flow.ts';
import { Failures } from '../flow/supervision.ts';
import type { ActorRow, Commit } from '../store/rows.ts';

/** What a turn is asked to do besides its stimulus, and who waits for it. */
export interface Item {
  stimulus: Stimulus;
  /** Makes the event from the state that it meets, in place of the stimulus' own; null: the message means nothing here. */
  prepare?: (snapshot: any, flow: AnyFlow) => AnyEventObject | null;
  /** The inbound message that this turn applies: committed with it, at most once. */
  inbound?: {
    channel: string;
    messageId: string;
    /** See `InboxRow` in store/rows.ts. */
    scope: string;
    /** What the person wrote. */
    text: string | null;
  };
  /** More to write in the turn's own transaction. */
  also?: Commit['also'];
  /** More messages to send, committed with the turn. */
  notices?: { recipient: string; payload: object }[];
  /** A remark for the turn's line in the journal. */
  note?: string;
  /** Without the rows of `record` and `project`: why they are left out. */
  unrecorded?: Error;
  /** For so many deadlines it still waits: those that were due when its turn had come. */
  awaits?: number;
  /** Nobody would bring it again: it is tried until the actor's row can be read. */
  insistent?: true;
  /** Its own turn is being committed. */
  committing?: boolean;
  /** It was there already when patience.ts looked. */
  waited?: true;
  /** It was taken out of the mailbox, and who waited for it was told so. */
  answered?: true;
  /** It is refused where the actor has ended, in place of meaning nothing to it. */
  refusesEnded?: true;
  /** What to write if the turn throws, instead of nothing; then the item counts as done. */
  onFailure?: (error: Error) => Pick<Commit, 'deadLetter'> & { notices?: Item['notices'] };
  /** It is the actor's first turn, and there must be no actor yet. */
  create?: SpawnOptions;
  /** Called at once when its turn has committed. */
  committed?: () => void;
  /** Where it comes from, if somebody traces. */
  origin?: unknown;
  resolve: (done: Done) => void;
  reject: (error: Error) => void;
}

/** What an actor begins with. */
export interface SpawnOptions {
  input: unknown;
  phoneNumber?: string;
}

/** An item without those who wait for it. */
export type Work = Omit<Item, 'resolve' | 'reject'>;

/** What became of an item. */
export interface Done {
  snapshot: any;
  /** The logic had a transition for the event. */
  handled: boolean;
  /** The inbound message had been applied before. */
  duplicate: boolean;
  /** The turn threw, and `onFailure` was committed in its place. */
  failed?: Error;
}

/** The row without the snapshot, which is in `live` or in the database. */
export type Row = Omit<ActorRow, 'state_data'>;

/** What is committed of an actor. */
export interface Read {
  row: Row;
  snapshot: any;
  timers: LiveActor['timers'];
}

export class Cell {
  readonly address: Address;
  /** The address as one text. */
  readonly key: string;
  /** The version of the flow in which the actor goes on; until its row is read, the newest. */
  flow: AnyFlow;
  readonly processes: Processes;
  readonly queue: Item[] = [];
  busy = false;
  /** Why it waits for another attempt at a turn; `undefined`: it does not wait. */
  trouble: Error | undefined;
  /** Ends the wait where an operator wants to end the actor; `undefined` where the database is what is waited for. */
  endPause: (() => void) | undefined;
  /** Told when it begins to wait. */
  readonly onPause: (() => void)[] = [];
  row: Row | undefined;
  live: LiveActor | undefined;
  /** The snapshot of the last commit; while a turn is being committed, `live` is ahead of it. */
  committed: any;
  /** How many have it in hand (see cells.ts); while they do, it stays in memory. */
  holds = 0;
  /** Counts how often what was in memory was forgotten: a row that was being read meanwhile may be out of date. */
  generation = 0;
  readonly failures: Failures;

  /** @param failures those of the actor so far */
  constructor(
    address: Address,
    flow: AnyFlow,
    host: Omit<ProcessHost, 'name' | 'policies'>,
    failures = new Failures(),
  ) {
    this.address = address;
    this.key = formatAddress(address);
    this.flow = flow;
    this.failures = failures;
    const policies = () => this.flow.invocations;
    this.processes = new Processes({ ...host, name: this.key, policies });
  }

  get pausing(): boolean {
    return this.trouble !== undefined;
  }

  /** Takes over what a copy of it has come to. @param row as it was before that */
  adopt({ flow, live }: Cell, row: Row): void {
    this.forget();
    this.row = row;
    this.flow = flow;
    this.live = live;
  }

  /** Forgets what is in memory, so that the next turn starts from the row. Promises go on. */
  forget(): void {
    this.generation++;
    this.live = undefined;
    this.row = undefined;
    this.processes.unbind();
  }
}
