/**
 * Golden snapshots: actors as a release stored them, one file for each state, kept for ever beside a test. Later releases
 * prove by them that whoever stands there goes on.
 *
 *   FOLDER/booking/v1/_shape.json   the shape of the machine that wrote them
 *   FOLDER/booking/v1/asking.json   an actor in the state `asking`
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Shape } from '../actor/shape.ts';
import { GoldenSnapshotError, InvalidArgumentError } from '../errors.ts';
import type { FlowVersions } from '../flow/versions.ts';
import { type CheckOptions, comparison, judgeRow } from './check.ts';
import { type CheckReport, type FlowCheck, isOk, noteFlowless, versionCheck } from './report.ts';

/** An actor in a file. */
export interface Golden {
  flow: string;
  version: number;
  /** The state that it is kept for, as a dotted path. */
  state: string;
  /** Of the machine that wrote it. */
  fingerprint: string;
  /** When it was stored, on the clock of the walk. ISO 8601. */
  at: string;
  /** `state_data`, as in the database. */
  stored: unknown;
  /** Of all the others: a file that was changed by hand is not believed. */
  checksum: string;
}

/** The machine of a version, in a file. */
export interface GoldenMachine {
  flow: string;
  version: number;
  fingerprint: string;
  shape: Shape;
  checksum: string;
}

const SHAPE = '_shape.json';

/** The file of a state. */
export const fileOf = (folder: string, flowType: string, version: number, state: string) =>
  join(folderOf(folder, flowType, version), `${state.replaceAll(UNFIT, encoded).replace(/^_shape$/, '%5fshape')}.json`);

export const shapeFileOf = (folder: string, flowType: string, version: number) =>
  join(folderOf(folder, flowType, version), SHAPE);

/** What some file system does not take in a name. */
const UNFIT = /[/\\:*?"<>|%]/g;
const encoded = (character: string) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`;

/** The text of a file, with its checksum. */
export function sealed(content: Omit<Golden, 'checksum'> | Omit<GoldenMachine, 'checksum'>): string {
  return `${JSON.stringify({ ...content, checksum: checksumOf(content) }, null, 2)}\n`;
}

/** The same for the same content, however it is laid out. */
function checksumOf(content: object): string {
  const ordered = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map(ordered);
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, inner]) => [key, ordered(inner)]),
    );
  };
  return createHash('sha256')
    .update(JSON.stringify(ordered(content)))
    .digest('hex');
}

/** @throws {GoldenSnapshotError} it cannot be read, or was changed by hand */
export function unsealed<T extends Golden | GoldenMachine>(file: string): T {
  let read: T;
  try {
    read = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new GoldenSnapshotError(
      `The golden file ${file} is not readable (${(cause as Error).message}). Take it from your version control again.`,
      { cause },
    );
  }
  const { checksum, ...content } = Object(read) as T;
  if (checksum !== checksumOf(content)) {
    throw new GoldenSnapshotError(
      `The golden file ${file} was changed by hand: its checksum is another one. Take it from your version control again; a golden file is only worth what the release wrote.`,
    );
  }
  return read;
}

/** Where the files of a version are. */
export const folderOf = (folder: string, flowType: string, version: number) => join(folder, flowType, `v${version}`);

/** The versions of which there are files, the oldest first. */
export function versionsIn(folder: string, flowType: string): number[] {
  const parent = join(folder, flowType);
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .flatMap((name) => /^v(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** The files of a version. */
export function goldensOf(folder: string, flowType: string, version: number): { file: string; golden: Golden }[] {
  const parent = folderOf(folder, flowType, version);
  const names = readdirSync(parent).filter((name) => name.endsWith('.json') && name !== SHAPE);
  return names.sort().map((name) => {
    const file = join(parent, name);
    const golden = unsealed<Golden>(file);
    if (golden.flow !== flowType || golden.version !== version)
      throw new GoldenSnapshotError(
        `The golden file ${file} is of ${golden.flow}, version ${golden.version}: it lies in the wrong folder.`,
      );
    return { file, golden };
  });
}

/** Reads which shape each version had when its files were written. */
export function loadGoldenShapes(folder: string, flowType: string, versions: FlowVersions): void {
  for (const version of versionsIn(folder, flowType)) {
    const file = shapeFileOf(folder, flowType, version);
    if (existsSync(file)) versions.recorded.set(version, [unsealed<GoldenMachine>(file).shape]);
  }
}

/** The row that a golden actor would be. */
export const rowOf = ({ flow, version, state, at, stored }: Golden, file: string) => ({
  participant_id: file,
  flow_type: flow,
  flow_version: version,
  current_state: state,
  state_data: JSON.stringify(stored),
  updated_at: at,
});

/**
 * What becomes of golden actors under the present flows; nothing is changed.
 * @throws {InvalidArgumentError} there are none
 * @throws {GoldenSnapshotError} a file cannot be believed
 */
export function checkGoldens(
  folder: string,
  flows: ReadonlyMap<string, FlowVersions>,
  { flowType, strict = false }: Pick<CheckOptions, 'flowType' | 'strict'> = {},
): CheckReport {
  const began = performance.now();
  const at = Date.now();
  const checks: FlowCheck[] = [];
  const types = existsSync(folder)
    ? readdirSync(folder).filter((name) => (flowType ?? name) === name && versionsIn(folder, name).length > 0)
    : [];
  if (types.length === 0)
    throw new InvalidArgumentError(
      `There are no golden files in ${folder}. Write them in a test, with goldenSnapshots().`,
    );
  for (const type of types.sort()) {
    const versions = flows.get(type);
    if (versions) loadGoldenShapes(folder, type, versions);
    const flow: FlowCheck = {
      flowType: type,
      version: versions?.newest.version ?? null,
      ...(versions ? comparison(versions) : { notes: [], changed: [] }),
      versions: [],
    };
    checks.push(flow);
    for (const version of versionsIn(folder, type)) {
      const check = versionCheck(flow, version, versions?.from(version).flow?.version ?? null);
      for (const { file, golden } of goldensOf(folder, type, version)) {
        const row = rowOf(golden, file);
        if (versions) judgeRow(check, row, versions, at);
        else noteFlowless(check, type, file);
      }
    }
  }
  const durationMs = Math.round(performance.now() - began);
  return { ok: isOk(checks, strict), at: new Date(at).toISOString(), durationMs, flows: checks };
}
