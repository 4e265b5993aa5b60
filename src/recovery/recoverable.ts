/** What takes part in recovery: the vocabulary in which components and the runtime speak of it. */
import type { AnyEventObject } from 'xstate';
import type { RecoveryRegistry } from './services.ts';

/** A component that has something to recover before the runtime takes messages. */
export interface Recoverable {
  /** Names it in the report. */
  readonly name: string;
  /**
   * Recovers what it can, and tells the registry what became of what. It goes on where one participant fails; what it
   * throws is the failure of the whole component, which stops no other one. Long work calls `registry.progress` now and
   * then: one that is silent for too long is given up.
   */
  recoverState(registry: RecoveryRegistry): Promise<void>;
}

/** The recovery of a flow's participants. */
export interface ParticipantRecoverable extends Recoverable {
  readonly flowType: string;
  /** Recovers one participant. */
  recoverParticipant(participantId: string, registry: RecoveryRegistry): Promise<void>;
}

/** A deadline that an actor should have. */
export interface TimerRecoveryInfo {
  participantId: string;
  flowType: string;
  /** It makes sense only in this state, as a dotted path; an actor that has left it does not get the deadline. */
  stateType: string;
  event: AnyEventObject;
  /** In ms since the epoch. One that has passed fires once, late, as soon as the runtime runs. */
  dueAt: number;
}

/** That messages from a phone number belong to a participant. */
export interface ResponseHandlerRecoveryInfo {
  /** E.164. */
  phoneNumber: string;
  participantId: string;
  flowType: string;
  handlerType: string;
  /** How long from now, in ms. */
  ttl: number;
}

/** Puts a deadline into an actor, durably; false: it has it already, or has left the state. */
export type TimerRecovery = (info: TimerRecoveryInfo) => Promise<boolean>;

/** Binds a phone number; false: it belongs to another participant of the flow. */
export type HandlerRecovery = (info: ResponseHandlerRecoveryInfo) => Promise<boolean>;

export const isParticipantRecoverable = (component: Recoverable): component is ParticipantRecoverable =>
  'flowType' in component;
