/** What a change of flows means for those who are in them, for people and for programs. */
import type { Misfit } from '../errors.ts';
import type { Fate } from './verdict.ts';

/** Participants of whom the same is to be said. */
export interface CheckFinding {
  fate: 'stranded' | 'impaired' | 'flowless';
  kind: Misfit['kind'] | 'flow';
  /** Where they stand, as a dotted path. */
  state: string;
  reason: string;
  count: number;
  /** The first few of them. */
  participants: string[];
}

/** The participants whose rows are of one version of a flow. */
export interface VersionCheck {
  version: number;
  /** Where those go on who do; null: nowhere. */
  to: number | null;
  /** Participants who take part, by what becomes of them. */
  fates: Record<Fate, number>;
  /** They take part no more, or were put aside before; they were not looked at. */
  ended: number;
  quarantined: number;
  findings: CheckFinding[];
  /** Participants with findings that are beyond the number of different ones that are listed. */
  unlisted: number;
}

/** What becomes of the participants of one flow. */
export interface FlowCheck {
  flowType: string;
  /** The newest that is registered; null: none is. */
  version: number | null;
  /** What is to be known besides, e.g. in what the machine of a version changed. */
  notes: string[];
  /** The versions whose machine is another one than the database was run with, under the same number. */
  changed: number[];
  versions: VersionCheck[];
}

/** What becomes of everybody. */
export interface CheckReport {
  /** Everybody goes on; and, where the check was strict, no machine was changed under its version. */
  ok: boolean;
  /** ISO 8601. */
  at: string;
  durationMs: number;
  flows: FlowCheck[];
}

/** So many different findings of a version are told apart. */
const MOST_FINDINGS = 500;
const MOST_NAMED = 5;

/** The part of the report on a version, empty at first. */
export function versionCheck({ versions }: FlowCheck, version: number, to: number | null): VersionCheck {
  const known = versions.find((check) => check.version === version);
  if (known) return known;
  const fates = { goesOn: 0, migrates: 0, finishes: 0, impaired: 0, stranded: 0, flowless: 0 };
  const check = { version, to, fates, ended: 0, quarantined: 0, findings: [], unlisted: 0 };
  versions.push(check);
  return check;
}

/** Counts one participant among those of whom the same is to be said. */
export function note(
  check: VersionCheck,
  finding: Omit<CheckFinding, 'count' | 'participants'>,
  participant: string,
): void {
  const { kind, state, reason, fate } = finding;
  let same = check.findings.find(
    (it) => it.reason === reason && it.state === state && it.kind === kind && it.fate === fate,
  );
  if (!same) {
    if (check.findings.length === MOST_FINDINGS) {
      check.unlisted++;
      return;
    }
    same = { ...finding, count: 0, participants: [] };
    check.findings.push(same);
  }
  same.count++;
  if (same.participants.length < MOST_NAMED) same.participants.push(participant);
}

/** @param strict a machine that was changed under its version is not ok either */
export const isOk = (flows: readonly FlowCheck[], strict = false): boolean =>
  flows.every(
    ({ versions, changed }) =>
      versions.every(({ findings }) => findings.length === 0) && !(strict && changed.length > 0),
  );

/** Counts a participant of a flow that was not given. */
export function noteFlowless(check: VersionCheck, flowType: string, participant: string): void {
  check.fates.flowless++;
  const reason = `there is no flow '${flowType}'`;
  note(check, { fate: 'flowless', kind: 'flow', state: '', reason }, participant);
}

/** The report as text. */
export function formatCheck({ ok, flows, durationMs }: CheckReport, what = 'participants'): string {
  const lines: string[] = [];
  for (const { flowType, version, notes, versions } of flows) {
    lines.push(`${flowType}, ${version === null ? 'which no flow is given for' : `version ${version}`}`);
    for (const text of notes) lines.push(`  ${text}`);
    if (versions.length === 0) lines.push(`  no ${what}`);
    for (const check of versions) {
      lines.push(`  of version ${check.version}: ${summary(check)}`);
      for (const finding of [...check.findings].sort((a, b) => b.count - a.count)) lines.push(`    ${line(finding)}`);
      if (check.unlisted > 0) lines.push(`    … and ${number(check.unlisted)} more, of other kinds`);
    }
    lines.push('');
  }
  let conclusion = 'All go on.';
  if (!isOk(flows))
    conclusion =
      'Not all go on. See docs/evolving.md for what to do: raise the version and declare migrate, or keep the old version registered.';
  else if (!ok)
    conclusion =
      'All go on, but a machine was changed under its version, which a strict check refuses: raise the version.';
  lines.push(`${conclusion} (${(durationMs / 1_000).toFixed(1)} s)`);
  return lines.join('\n');
}

function summary({ to, fates, ended, quarantined }: VersionCheck): string {
  const some = (n: number, text: string) => (n > 0 ? [`${number(n)} ${text}`] : []);
  const parts = [
    ...some(fates.goesOn, 'go on'),
    ...some(fates.migrates, `migrate to version ${to}`),
    ...some(fates.finishes, 'finish on it'),
    ...some(fates.impaired, 'are restored, but do not fit'),
    ...some(fates.stranded, 'would be quarantined'),
    ...some(fates.flowless, 'go nowhere'),
    ...some(ended, 'have ended'),
    ...some(quarantined, 'in quarantine'),
  ];
  return parts.join(', ') || 'nobody';
}

function line({ state, reason, count, participants, fate }: CheckFinding): string {
  const named = participants.join(', ') + (count > participants.length ? ', …' : '');
  if (fate === 'flowless') return `${number(count)}: ${reason} (${named})`;
  const what = fate === 'stranded' ? 'would be quarantined' : 'would not go on as meant';
  return `${number(count)} in '${state}' ${what}: ${reason} (${named})`;
}

const number = (n: number) => n.toLocaleString('en');
