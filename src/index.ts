/**
 * Durable actors for XState on one database: {@link defineFlow} says what they do, {@link createRuntime} runs them.
 *
 * @module perdure
 */
export type { ContextSchema } from './actor/fit.ts';
export type { InvocationPolicy } from './actor/invocations.ts';
export type { StoredTimer } from './actor/live-actor.ts';
export type { AfterTimer, MigratingTimer } from './actor/migrating-timers.ts';
export { type Clock, SimulatedClock, scaledClock, systemClock } from './clock.ts';
export type { Duration } from './duration.ts';
export { type OutgoingMessage, PermanentSendError, type SendPolicy, type Transport } from './engine/outbox.ts';
export {
  ActorEndedError,
  ActorExistsError,
  ActorNotFoundError,
  ActorQuarantinedError,
  type Address,
  DatabaseInUseError,
  DeadLetterNotFoundError,
  formatAddress,
  GoldenSnapshotError,
  InvalidArgumentError,
  InvalidMessageError,
  InvalidPhoneNumberError,
  InvocationTimeoutError,
  MachineNotExportableError,
  type Misfit,
  NewerDatabaseError,
  NewerFlowError,
  NonRetryableError,
  NotAdoptableError,
  NotRunningError,
  NotSerializableError,
  PackageMissingError,
  PerdureError,
  PhoneNumberTakenError,
  RecoveryServiceMissingError,
  SnapshotIncompatibleError,
  SnapshotNewerError,
  StoreError,
  TimeoutError,
  TransactionError,
  TurnFailedError,
  UndeliveredNotFoundError,
  UnknownFlowError,
  UnsupportedLogicError,
} from './errors.ts';
export type { Life, RuntimeEvents } from './events.ts';
export {
  type CheckFinding,
  type CheckOptions,
  type CheckReport,
  checkDatabase,
  type Fate,
  type FlowCheck,
  formatCheck,
  type MigrateOptions,
  type MigrationReport,
  type VersionCheck,
} from './evolution/index.ts';
export {
  type AnyFlow,
  defineFlow,
  type EmittedOf,
  type EventOf,
  type Flow,
  type FlowDefinition,
  type FlowRecord,
  type InboundMessage,
  type InputOf,
  type Overdue,
  type SnapshotOf,
} from './flow/flow.ts';
export type { FormerContext, MigratingActor, Migration, PersistedSnapshot } from './flow/migrate.ts';
export type { FlowRetention, Retention } from './flow/retention-periods.ts';
export type { Supervision } from './flow/supervision.ts';
export type {
  Inspected,
  InspectedActor,
  InspectedSnapshot,
  InspectionObserver,
  InspectOptions,
  StatelyInspector,
} from './inspection/inspection.ts';
export type { DirectMessage, Receipt } from './messaging/inbound.ts';
export type { DeadLetter, DeadLetterFilter, DeadLetters } from './operations/dead-letters.ts';
export type { Page } from './operations/page.ts';
export type { Quarantine, QuarantinedActor, QuarantinedDetails, QuarantineFilter } from './operations/quarantine.ts';
export type { Undelivered, UndeliveredFilter, UndeliveredMessage } from './operations/undelivered.ts';
export {
  type ComponentReport,
  type Finding,
  FlowRecovery,
  type FlowRecoveryOptions,
  formatReport,
  type ParticipantRecoverable,
  type Recoverable,
  type RecoverOptions,
  RecoveryManager,
  type RecoveryMode,
  RecoveryRegistry,
  type RecoveryReport,
  type ResponseHandlerRecoveryInfo,
  type TimerRecoveryInfo,
} from './recovery/index.ts';
export type { FlowFigures, RuntimeFigures, RuntimeRegistry } from './runtime/figures.ts';
export type { SpawnArguments, SpawnedActor, SpawnOptions } from './runtime/handle.ts';
export {
  type ActorDescription,
  ActorHandle,
  type Committed,
  type PendingTimer,
  type SendOptions,
  type Subscription,
} from './runtime/handle.ts';
export type { Health } from './runtime/lifecycle.ts';
export type { RecoveryOptions, RuntimeOptions } from './runtime/options.ts';
export {
  createRuntime,
  type JournalLine,
  type JournalPage,
  type MessagesPage,
  Runtime,
  type SaidMessage,
} from './runtime/runtime.ts';
export type { ActorStatus } from './store/rows.ts';
export type { BackupOptions, BackupProgress, BackupReport } from './store/sqlite/backup.ts';
export type { ActorInTransaction, SpawnedInTransaction, Transaction, TransactionOptions } from './transaction/api.ts';
