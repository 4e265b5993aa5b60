/**
 * Compares flows with a database: what would become of everybody in it. It only reads, page by page, also beside a server
 * that runs on the file.
 */
import { differences, fingerprintOf, shapeOf } from '../actor/shape.ts';
import type { AnyFlow } from '../flow/flow.ts';
import { type FlowVersions, versionsOf } from '../flow/versions.ts';
import { immediate } from '../immediate.ts';
import type { ShapeRow } from '../store/rows.ts';
import type { DatabaseOption } from '../store/sqlite/location.ts';
import type { Store } from '../store/store.ts';
import { loadShapes } from './fingerprint.ts';
import {
  type CheckReport,
  type FlowCheck,
  isOk,
  note,
  noteFlowless,
  type VersionCheck,
  versionCheck,
} from './report.ts';
import { verdictOf } from './verdict.ts';

/** What is checked, and under which flows. */
export interface CheckOptions {
  /** `'sqlite:study.db'`, or a Knex instance. */
  database: DatabaseOption;
  /** All flows that will run on it, with the old versions that stay registered. */
  flows: readonly AnyFlow[];
  /** Only the participants of this one. */
  flowType?: string;
  /** Is not ok either where a machine was changed under its version. Default: false. */
  strict?: boolean;
  /** Told now and then how many participants have been looked at. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/**
 * What becomes of every participant in the database under these flows; nothing is changed.
 * @throws {InvalidArgumentError} it is no database of Perdure's, or two flows are of one type and version
 * @throws {StoreError} it cannot be read
 */
export function checkDatabase(options: CheckOptions): Promise<CheckReport> {
  return checkFile(options, false);
}

/** Like {@link checkDatabase}, of those who are to be migrated alone: what `runtime.migrate({ dryRun: true })` tells. */
export function migrateDryRun(options: CheckOptions): Promise<CheckReport> {
  return checkFile(options, true);
}

async function checkFile(
  { database, flows, flowType, strict, onProgress }: CheckOptions,
  older: boolean,
): Promise<CheckReport> {
  const versions = versionsOf(flows);
  const { openDatabaseForReading } = await import('../store/sqlite/open.ts'); // with Knex and the driver, which few need
  const open = await openDatabaseForReading(database, {});
  try {
    await open.migrate();
    const store = await open.store();
    await loadShapes(store, versions);
    return await checkStore(store, versions, { flowType, older, strict, onProgress });
  } finally {
    await open.close();
  }
}

const PAGE = 500;

export interface StoreCheckOptions {
  flowType?: string | undefined;
  /** Only participants of an older version than the newest. */
  older?: boolean;
  strict?: boolean | undefined;
  onProgress?: CheckOptions['onProgress'] | undefined;
}

/** {@link checkDatabase}, on a database that is open. */
export async function checkStore(
  store: Store,
  versions: ReadonlyMap<string, FlowVersions>,
  { flowType, older = false, strict = false, onProgress }: StoreCheckOptions,
): Promise<CheckReport> {
  const began = performance.now();
  const at = Date.now();
  const checks = new Map<string, FlowCheck>();
  for (const [type, { newest }] of versions)
    if (flowType === undefined || type === flowType)
      checks.set(type, flowCheck(type, versions.get(type), newest.version));
  const total = await store.countRows();
  for (let after = 0, done = 0; ; ) {
    const rows = await store.allRows(after, PAGE);
    for (const row of rows) {
      if (flowType !== undefined && row.flow_type !== flowType) continue;
      const of = versions.get(row.flow_type);
      if (older && row.flow_version === of?.newest.version) continue;
      judge(row, of, checks, at);
    }
    done += rows.length;
    onProgress?.({ done, total });
    if (rows.length < PAGE) break;
    after = rows.at(-1)?.id ?? after;
    await immediate();
  }
  const flows = [...checks.values()];
  for (const flow of flows) flow.versions.sort((a, b) => a.version - b.version);
  return {
    ok: isOk(flows, strict),
    at: new Date(at).toISOString(),
    durationMs: Math.round(performance.now() - began),
    flows,
  };
}

function judge(row: ShapeRow, of: FlowVersions | undefined, checks: Map<string, FlowCheck>, at: number): void {
  const { flow_type, flow_version, participant_id } = row;
  const flow = checks.get(flow_type) ?? flowCheck(flow_type, of, null);
  checks.set(flow_type, flow);
  const check = versionCheck(flow, flow_version, of?.from(flow_version).flow?.version ?? null);
  if (row.status === 'quarantined') check.quarantined++;
  else if (row.status !== 'active') check.ended++;
  else if (!of) noteFlowless(check, flow_type, participant_id);
  else judgeRow(check, row, of, at);
}

/** Counts what becomes of one stored actor. */
export function judgeRow(
  check: VersionCheck,
  row: Pick<ShapeRow, 'participant_id' | 'flow_type' | 'current_state' | 'state_data' | 'flow_version' | 'updated_at'>,
  versions: FlowVersions,
  at: number,
): void {
  const { fate, misfits } = verdictOf(versions, row, at);
  check.fates[fate]++;
  if (fate !== 'stranded' && fate !== 'impaired') return;
  for (const { kind, reason } of misfits)
    note(check, { fate, kind, state: row.current_state, reason }, row.participant_id);
}

function flowCheck(flowType: string, versions: FlowVersions | undefined, version: number | null): FlowCheck {
  return { flowType, version, ...(versions ? comparison(versions) : { notes: [], changed: [] }), versions: [] };
}

/** In what registered machines are others than those that were seen with the database. */
export function comparison({ all, recorded }: FlowVersions): Pick<FlowCheck, 'notes' | 'changed'> {
  const notes: string[] = [];
  const changed: number[] = [];
  for (const { version, logic, context } of all) {
    const shape = shapeOf(logic);
    const seen = recorded.get(version) ?? [];
    const last = seen.at(-1);
    if (last && !seen.some((each) => fingerprintOf(each) === fingerprintOf(shape))) {
      changed.push(version);
      notes.push(`The machine of version ${version} was changed under the same version:`);
      notes.push(...differences(last, shape).map((line) => `  ${line}`));
    }
    if (shape.kind === 'machine' && !shape.context && !context)
      notes.push(
        `The fields of the context of version ${version} are not checked: it cannot be made without an input. Give defineFlow({ context }) a schema.`,
      );
  }
  return { notes, changed };
}
