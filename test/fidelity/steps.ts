/** Short forms that the cases are written with. */
import { assign, emit, type MachineContext } from 'xstate';
import { now } from '../../src/machine/ambient.ts';
import { START, type Step } from './subject.ts';

export const send = (type: string, payload: Record<string, unknown> = {}): Step => ({ send: { type, ...payload } });
export const advance = (ms: number): Step => ({ advance: ms });
export const open = (gate: string): Step => ({ open: gate });
export const settle: Step = { settle: true };

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const DAY = 24 * 60 * MINUTE;

interface Args {
  context: MachineContext;
  event: any;
}

// The actions below fit machines of any type, which XState's own types cannot say.

/** Appends to `context.log`, which need not exist. */
export const log = (entry: string | ((args: Args) => unknown)): any =>
  assign(({ context, event }: any) => ({
    log: [...(context.log ?? []), typeof entry === 'string' ? entry : entry({ context, event })],
  }));

/** Appends `entry` and the ms since the start to `context.log`. */
export const logAt = (entry: string): any => log(() => `${entry}@${now() - START}`);

/** Emits `{ type, ...payload }`. */
export const say = (type: string, payload: (args: Args) => Record<string, unknown> = () => ({})): any =>
  emit((args: any) => ({ type, ...payload(args) }));
