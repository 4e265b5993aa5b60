/** Leads every participant of an older version to the one in which they go on: page by page, and again after a kill. */
import type { Engine } from '../engine/engine.ts';
import { ActorNotFoundError, SnapshotIncompatibleError } from '../errors.ts';
import type { FlowVersions } from '../flow/versions.ts';
import { type ActorRow, addressOf } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { checkStore } from './check.ts';
import { type CheckReport, type FlowCheck, isOk, note, versionCheck } from './report.ts';

/** Whom {@link Runtime.migrate} leads over, and whether it does. */
export interface MigrateOptions {
  /** Runs the migrations on copies and tells what would become of whom; nothing is changed. Default: false. */
  dryRun?: boolean;
  /** Only the participants of this flow. */
  flowType?: string;
  /** Told after each page. */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Ends it after the page that is under way; the next call goes on from there. */
  signal?: AbortSignal;
}

/**
 * What became of those of older versions. `fates.migrates` were migrated; those that are `stranded` were left as they are,
 * and are quarantined at their next event unless something is done before.
 */
export interface MigrationReport extends CheckReport {
  dryRun: boolean;
}

const PAGE = 500;

export async function migrateAll(
  { engine, store, versions }: { engine: Engine; store: Store; versions: ReadonlyMap<string, FlowVersions> },
  { dryRun = false, flowType, onProgress, signal }: MigrateOptions,
): Promise<MigrationReport> {
  if (dryRun) return { dryRun, ...(await checkStore(store, versions, { flowType, older: true, onProgress })) };
  const began = performance.now();
  const flows: FlowCheck[] = [];
  const selected = [...versions].filter(([type]) => flowType === undefined || type === flowType);
  let total = 0;
  for (const [type, { newest }] of selected) total += await store.countOtherVersions(type, newest.version);
  let done = 0;
  for (const [type, of] of selected) {
    const flow: FlowCheck = { flowType: type, version: of.newest.version, notes: [], changed: [], versions: [] };
    flows.push(flow);
    for (let after = 0; ; ) {
      signal?.throwIfAborted();
      const rows = await store.ofOtherVersions(type, of.newest.version, after, PAGE);
      await Promise.all(rows.map((row) => migrateOne(row, of, flow, engine)));
      done += rows.length;
      if (rows.length > 0) onProgress?.({ done, total });
      if (rows.length < PAGE) break;
      after = rows.at(-1)?.id ?? after;
    }
    flow.versions.sort((a, b) => a.version - b.version);
  }
  engine.reviveInvocations();
  return {
    dryRun,
    ok: isOk(flows),
    at: new Date().toISOString(),
    durationMs: Math.round(performance.now() - began),
    flows,
  };
}

async function migrateOne(row: ActorRow, of: FlowVersions, flow: FlowCheck, engine: Engine): Promise<void> {
  const { flow_version: version, current_state: state, participant_id } = row;
  const { flow: target } = of.from(version);
  const check = versionCheck(flow, version, target?.version ?? null);
  if (target?.version === version) {
    check.fates.finishes++;
    return;
  }
  try {
    for (let current = row; !(await engine.migrate(current)); ) {
      // It was changed meanwhile: by a turn, which has migrated it, or by an operator.
      current = await engine.row(addressOf(row));
      if (current.status !== 'active' || current.flow_version !== version) break;
    }
    check.fates.migrates++;
  } catch (error) {
    if (error instanceof ActorNotFoundError) return; // it was deleted meanwhile
    if (!(error instanceof SnapshotIncompatibleError)) throw error;
    check.fates.stranded++;
    for (const { kind, reason } of error.misfits)
      note(check, { fate: 'stranded', kind, state, reason }, participant_id);
  }
}
