export { type CheckOptions, checkDatabase, migrateDryRun } from './check.ts';
export { type MigrateOptions, type MigrationReport, migrateAll } from './eager.ts';
export { loadShapes, recordShapes } from './fingerprint.ts';
export {
  checkGoldens,
  fileOf,
  folderOf,
  type Golden,
  type GoldenMachine,
  goldensOf,
  loadGoldenShapes,
  rowOf,
  sealed,
  shapeFileOf,
  versionsIn,
} from './golden.ts';
export { type NewerRows, newerRows, tellNewer } from './newer.ts';
export {
  type CheckFinding,
  type CheckReport,
  type FlowCheck,
  formatCheck,
  type VersionCheck,
} from './report.ts';
export { type Fate, verdictOf } from './verdict.ts';
