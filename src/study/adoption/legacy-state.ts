/** What a legacy row means to our machines. */
import type { Standing } from '../../actor/placement.ts';
import type { ParticipantStatus } from '../participation.ts';
import type { StateData } from './data.ts';

/** A participant, as the rules of a flow see them. Instants in ms since the epoch. */
export interface Person {
  id: string;
  name: string | null;
  status: ParticipantStatus;
  timezone: string;
  enrolledAt: number;
  /** Of the intervention. `weeklyReset`: null where there is none. */
  dailyPromptTime: string;
  weeklyReset: number | null;
  /** Of the conversation: what the assistant is told of them. */
  background: string;
}

/** Where somebody stood. */
export interface Legacy {
  person: Person;
  state: string;
  data: StateData;
  /** When the state was entered, in ms since the epoch. */
  updatedAt: number;
}

/** Where they stand now. `notes`: what is worth to be known about it. */
export interface Adopted extends Standing {
  notes: string[];
}
