/** Holds what is stored after a turn against the reference: state, deadlines, messages, and what the journal says. */
import { decodeState, parse } from '../../src/actor/codec.ts';
import { describeState } from '../../src/actor/state.ts';
import type { ActorRow, JournalRow, OutboxRow } from '../../src/store/rows.ts';
import type { Doings } from './causes.ts';
import type { Followed } from './ledger.ts';
import type { Reference } from './reference.ts';
import { Violation } from './violation.ts';

/** Complains, where two are not the same. */
export type Differ = (guarantee: string, what: string, is: unknown, should: unknown) => void;

/** Complains of what an actor is after a turn. */
export const differOf =
  (address: string, { event_type, version }: JournalRow): Differ =>
  (guarantee, what, is, should) => {
    if (JSON.stringify(is) === JSON.stringify(should)) return;
    const [a, b] = [canonical(is), canonical(should)];
    if (a !== b)
      throw new Violation(
        guarantee,
        `${what} of ${address} after '${event_type}' (version ${version}):\n  is        ${a}\n  should be ${b}`,
      );
  };

/** The row is what the reference has come to. */
export function compareState({ reference, generation }: Followed, row: ActorRow, differ: Differ): void {
  const stored = decodeState(row.state_data);
  const persisted = persistedOf(reference, generation);
  differ('G3', 'the state', plain(stored.snapshot), plain(persisted));
  if (row.status !== persisted.status) differ('G3', 'the status', row.status, persisted.status);
  const deadlines = row.status === 'active' ? reference.deadlines : [];
  if (row.status === 'active')
    differ(
      'G4',
      'the deadlines',
      (stored.timers ?? []).map(({ event, dueAt }: any) => ({ type: event.type, dueAt })),
      deadlines,
    );
  differ('G4', 'next_due_at', row.next_due_at, deadlines[0]?.dueAt ?? null);
}

/** The messages are those that the reference has emitted. */
export function compareMessages({ emitted }: Reference, said: OutboxRow[], differ: Differ): void {
  const should = emitted.flatMap((event): object[] => {
    if (event.type === 'perdure.send') return [{ kind: 'event', payload: { to: event['to'], event: event['event'] } }];
    return event.type === 'message' ? [{ kind: 'message', payload: event }] : [];
  });
  differ(
    'G6',
    'what was said',
    said.map(({ kind, payload }) => ({ kind, payload: parse(payload) })),
    should,
  );
}

/** A line follows from the one before it, and says what the row says. */
export function compareLines(
  { address, line: former, reference }: Followed,
  row: ActorRow,
  line: JournalRow,
  doings: Doings,
): void {
  const wrong = (what: string, is: unknown, should: unknown) => {
    if (is !== should)
      throw new Violation('G3', `${what} of ${address} (version ${line.version}) is ${is}, and should be ${should}.`);
  };
  wrong('the line before', line.previous_id, former?.id ?? null);
  wrong('the former state in the journal', line.from_state, former?.to_state ?? null);
  if (line.version === row.version) wrong('the state in the row', row.current_state, line.to_state);
  if (row.status !== 'quarantined' && line.version === row.version)
    wrong('the state in the journal', line.to_state, describeState(reference.snapshot));
  if (line.at > doings.latest)
    throw new Violation('G4', `version ${line.version} of ${address} is of an instant that is still to come.`);
  if (former && line.at < former.at && !doings.clockSet)
    throw new Violation('G3', `version ${line.version} of ${address} is of an instant before that of the one before.`);
}

/** What the row should hold, in the version that it was migrated to. */
export function persistedOf({ persisted }: Reference, generation: number | undefined): any {
  return generation === undefined ? persisted : { ...persisted, context: { ...persisted.context, generation } };
}

/** Only what a state is; not what XState and Perdure keep beside it. */
export function plain(snapshot: any): unknown {
  if (!snapshot) return snapshot;
  const { status, value, context, output, historyValue, input, children = {} } = snapshot;
  return {
    status,
    value,
    context,
    output,
    input,
    historyValue,
    children: Object.fromEntries(
      Object.entries<any>(children).flatMap(([id, child]) => (child ? [[id, plain(child.snapshot)]] : [])),
    ),
  };
}

/** JSON with the keys in order; what is empty or undefined is left out. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    const entries = Object.entries(part).filter(
      ([, inner]) => inner !== undefined && !(typeof inner === 'object' && inner && Object.keys(inner).length === 0),
    );
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
