export { FlowRecovery, type FlowRecoveryOptions } from './flow-recovery.ts';
export { type RecoverOptions, RecoveryManager } from './manager.ts';
export type { RecoveryMode } from './report.ts';
export { type ComponentReport, type Finding, formatReport, type RecoveryReport } from './report.ts';
export type {
  HandlerRecovery,
  ParticipantRecoverable,
  Recoverable,
  ResponseHandlerRecoveryInfo,
  TimerRecovery,
  TimerRecoveryInfo,
} from './services.ts';
export { RecoveryRegistry } from './services.ts';
