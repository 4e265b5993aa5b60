/** The actors that come of legacy rows, with their first line in the journal and the numbers that are bound to them. */
import type { Placed } from '../../actor/placement.ts';
import { boundUntil } from '../../flow/flow.ts';
import { type ActorRow, type HandlerRow, isEnded, type JournalRow, NO_TURN } from '../../store/rows.ts';
import { bindHandlers, type GroupStatement, insertActors, insertJournal } from '../../store/sqlite/statements.ts';
import { createConversationFlow } from '../conversation.ts';
import { offlineResponder } from '../generator.ts';
import { microHealthInterventionFlow } from '../micro-health-intervention.ts';
import { verbatim } from './columns.ts';
import { isoOf } from './instants.ts';
import type { Member } from './members.ts';
import { type AdoptedFlow, PARTICIPANTS } from './people.ts';
import type { AdoptedRow } from './report.ts';

export const FLOWS = {
  micro_health_intervention: microHealthInterventionFlow,
  conversation: createConversationFlow({ generate: offlineResponder }),
};

/** Where an actor stands, or why that cannot be told. */
export type Verdict = { placed: Placed; at: number; notes: string[] } | { reason: string };

interface Candidate {
  flow: string;
  /** What the participant is called in our tables. */
  id: string;
  /** The legacy state. */
  state: string;
  createdAt: number | undefined;
  member: Member | undefined;
  verdict: Verdict;
  /** The legacy row. */
  cells?: Record<string, unknown>;
}

type Write = (statement: GroupStatement, rows: readonly object[]) => Promise<void>;

export class Actors {
  readonly #now: number;
  readonly #write: Write;
  #last = 0;
  #rows: ActorRow[] = [];
  #journal: JournalRow[] = [];
  /** Participants whose numbers are to be bound. */
  #bound: { member: Member; ended: boolean }[] = [];
  /** Participants whose row says that they take part, and who have ended. */
  #ended: Member[] = [];
  /** How many numbers were bound. */
  handlers = 0;

  constructor(now: number, write: Write) {
    this.#now = now;
    this.#write = write;
  }

  /** Adds one; what is to be told of it. */
  add({ flow, id, state, createdAt, member, verdict, cells }: Candidate): Partial<AdoptedRow> {
    const actor = ++this.#last;
    const placed = 'placed' in verdict ? verdict.placed : undefined;
    const reason = 'reason' in verdict ? verdict.reason : undefined;
    const error = reason === undefined ? null : `PromptPipe's row could not be adopted: ${reason}`;
    const updatedAt = 'at' in verdict ? verdict.at : this.#now;
    const notes = 'notes' in verdict ? verdict.notes : [];
    const address = placed && member?.owner ? member.address : null;
    const row: ActorRow = {
      id: actor,
      participant_id: id,
      flow_type: flow,
      current_state: placed?.state ?? state,
      state_data: placed?.stateData ?? JSON.stringify(legacyRows(cells, member)),
      created_at: isoOf(createdAt ?? updatedAt),
      updated_at: isoOf(updatedAt),
      version: 1,
      flow_version: Object.hasOwn(FLOWS, flow) ? FLOWS[flow as AdoptedFlow].version : 1,
      status: placed?.status ?? 'quarantined',
      next_due_at: placed?.timers[0]?.dueAt ?? null,
      lease_until: null,
      last_error: error,
      address,
      journal_id: actor,
    };
    this.#rows.push(row);
    this.#journal.push(journalLine(row, this.#now, error ?? [`PromptPipe's ${state}`, ...notes].join('; ')));
    if (address !== null) this.#bound.push({ member: member!, ended: isEnded(row.status) });
    if (placed?.status === 'done' && member && member.person.status !== 'completed') this.#ended.push(member);
    if (!placed) return { outcome: 'quarantined', participantId: id, reason: reason! };
    return {
      outcome: 'adopted',
      participantId: id,
      to: placed.state,
      deadlines: placed.timers.map(({ event, dueAt }) => ({ event: deadlineName(event.type), dueAt: isoOf(dueAt) })),
    };
  }

  /** Writes those that were added. */
  async flush(): Promise<void> {
    await this.#write(insertActors, this.#rows);
    await this.#write(insertJournal, this.#journal);
    for (const flow of Object.keys(FLOWS) as AdoptedFlow[]) {
      const bound = this.#bound.filter(({ member }) => member.flow === flow);
      await this.#write(
        bindHandlers,
        bound.map(
          ({ member: { person, address }, ended }): HandlerRow => ({
            phone_number: address!,
            flow_type: flow,
            participant_id: person.id,
            handler_type: FLOWS[flow].handlerType,
            bound_at: this.#now,
            expires_at: boundUntil(FLOWS[flow], ended ? this.#now : undefined),
          }),
        ),
      );
      await this.#write(
        completed(flow),
        this.#ended.filter((member) => member.flow === flow).map(({ person: { id } }) => ({ id })),
      );
    }
    this.handlers += this.#bound.length;
    this.#rows = [];
    this.#journal = [];
    this.#bound = [];
    this.#ended = [];
  }
}

const completed = (flow: AdoptedFlow): GroupStatement => ({
  columns: ['id'],
  text: (values) => `UPDATE ${PARTICIPANTS[flow]} SET status = 'completed' WHERE id IN (VALUES ${values})`,
});

/** What is kept of a row that could not be read. */
const legacyRows = (cells: Record<string, unknown> | undefined, member: Member | undefined) => ({
  promptpipe: {
    ...(cells && { flow_states: verbatim(cells) }),
    ...(member && {
      [PARTICIPANTS[member.flow]]: member.verbatim ?? { ...member.columns, phone_number: member.phone },
    }),
  },
});

/** `xstate.after.feelingDeadline.micro_health_intervention…` → `feelingDeadline` */
const deadlineName = (type: string) => /^xstate\.after\.([^.]+)/.exec(type)?.[1] ?? type;

function journalLine(row: ActorRow, at: number, note: string): JournalRow {
  const { id, participant_id, flow_type, version, status, current_state } = row;
  return {
    id,
    previous_id: null,
    participant_id,
    flow_type,
    version,
    event_type: status === 'quarantined' ? 'perdure.quarantined' : 'perdure.adopted',
    from_state: null,
    to_state: current_state,
    at,
    ...NO_TURN,
    note,
  };
}
