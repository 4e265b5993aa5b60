/** What recovery found and did, for those who have to believe it. */

/**
 * `lazy`: finds by indexes what has to be done; the time does not grow with what the rows hold. `verify`: reads and
 * restores every row, one page at a time, and puts aside those that cannot be.
 */
export type RecoveryMode = 'lazy' | 'verify';

/** One participant of whom there is something to say. */
export interface Finding {
  flowType: string;
  participantId: string;
  /** What is wrong with it. */
  reason: string;
  /** What was done, or (in a dry run) would be done. */
  action: string;
}

/** What became of one component in a recovery. */
export interface ComponentReport {
  name: string;
  flowType?: string;
  /** Why the component as a whole could not be recovered; the others were. */
  error?: string;
  /** Actors that go on. `lazy` counts all that are not quarantined; `verify` those that take events and were restored. */
  recovered: number;
  /** Actors that were passed over: they had `ended`, or were `quarantined` before. */
  skipped: { ended: number; quarantined: number };
  /** Participants that could not be recovered. */
  failed: Finding[];
  /** Participants that go on, with something that somebody should look at. */
  notices: Finding[];
  /** How many more there are of each than are listed, which is {@link MOST_FINDINGS} at most. */
  unlisted: { failed: number; notices: number };
  /** Bound phone numbers, those that were bound anew among them, and those whose binding has expired. */
  handlers: { bound: number; renewed: number; expired: number };
  /** The earliest deadline of each actor: passed already, within the window that is held in memory, or beyond it. */
  deadlines: { overdue: number; armed: number; beyond: number };
  /** Deadlines that a component put back by `recoverTimer`. */
  timers: number;
  /** Actors whose invocations ended with the former process; they are started again. */
  invocations: number;
  /** Messages that were not sent; they are sent now. */
  unsent: number;
  durationMs: number;
}

/** What a recovery found, component by component. */
export interface RecoveryReport {
  mode: RecoveryMode;
  /** Nothing was changed. */
  dryRun: boolean;
  /** ISO 8601, on the runtime's clock. */
  at: string;
  durationMs: number;
  /** Every component was recovered, and every participant but for those who were in quarantine before. */
  ok: boolean;
  components: ComponentReport[];
}

/** So many failed ones, and as many notices, of a component are listed; all are counted. */
export const MOST_FINDINGS = 10_000;

export const emptyReport = (name: string, flowType?: string): ComponentReport => ({
  name,
  ...(flowType !== undefined && { flowType }),
  recovered: 0,
  skipped: { ended: 0, quarantined: 0 },
  failed: [],
  notices: [],
  unlisted: { failed: 0, notices: 0 },
  handlers: { bound: 0, renewed: 0, expired: 0 },
  deadlines: { overdue: 0, armed: 0, beyond: 0 },
  timers: 0,
  invocations: 0,
  unsent: 0,
  durationMs: 0,
});

/**
 * The report as text, for people.
 * @param most so many findings of each component are written out
 */
export function formatReport(report: RecoveryReport, most = Number.POSITIVE_INFINITY): string {
  const { mode, dryRun, durationMs, components } = report;
  const lines = [`Recovery (${mode}${dryRun ? ', dry run: nothing was changed' : ''}) took ${seconds(durationMs)}.`];
  for (const component of components) {
    lines.push('', `${component.name}: ${summary(component)}`);
    if (component.error !== undefined) lines.push(`  failed as a whole: ${component.error}`);
    const findings = [...component.failed, ...component.notices];
    for (const { participantId, reason, action } of findings.slice(0, most))
      lines.push(`  ${participantId}: ${reason} → ${action}`);
    const more = Math.max(0, findings.length - most) + component.unlisted.failed + component.unlisted.notices;
    if (more > 0) lines.push(`  … and ${count(more, 'more')}`);
  }
  if (components.length === 0) lines.push('', 'There is nothing to recover.');
  return lines.join('\n');
}

/** A component's figures in one line; those that are 0 are left out, but for the first. */
export function summary(component: ComponentReport): string {
  const { recovered, skipped, failed, notices, unlisted, handlers, deadlines, timers, invocations, unsent } = component;
  const some = (n: number, one: string, many = one) => (n > 0 ? [count(n, n === 1 ? one : many)] : []);
  return [
    `${count(recovered, 'recovered')}`,
    ...some(skipped.ended, 'ended'),
    ...some(skipped.quarantined, 'quarantined before'),
    ...some(failed.length + unlisted.failed, 'failed'),
    ...some(notices.length + unlisted.notices, 'to look at'),
    ...some(deadlines.overdue, 'deadline overdue', 'deadlines overdue'),
    ...some(deadlines.armed, 'deadline within a minute', 'deadlines within a minute'),
    ...some(deadlines.beyond, 'deadline later', 'deadlines later'),
    ...some(timers, 'deadline put back', 'deadlines put back'),
    ...some(invocations, 'actor with invocations to start again', 'actors with invocations to start again'),
    ...some(unsent, 'message to send', 'messages to send'),
    ...some(handlers.bound, 'phone number bound', 'phone numbers bound'),
    ...some(handlers.renewed, 'of them anew'),
    ...some(handlers.expired, 'binding expired', 'bindings expired'),
    seconds(component.durationMs),
  ].join(', ');
}

const count = (n: number, what: string) => `${n.toLocaleString('en')} ${what}`;
const seconds = (ms: number) => `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 0)} s`;
