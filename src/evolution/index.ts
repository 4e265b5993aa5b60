export { type CheckOptions, checkDatabase } from './check.ts';
export { loadShapes, recordShapes } from './fingerprint.ts';
export { type MigrateOptions, type MigrationReport, migrateAll } from './migrate.ts';
export {
  type CheckFinding,
  type CheckReport,
  type FlowCheck,
  formatCheck,
  type VersionCheck,
} from './report.ts';
export type { Fate } from './verdict.ts';
