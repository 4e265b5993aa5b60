/**
 * OpenTelemetry spans of what a runtime does. `@opentelemetry/api` is an optional peer: only who imports this needs it.
 *
 * @module perdure/opentelemetry
 */
import {
  type Attributes,
  type Context,
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { Address } from '../errors.ts';
import type { RuntimeEvents } from '../events.ts';
import type { Runtime } from '../runtime.ts';

/** What is traced, and with what. */
export interface TracingOptions {
  /** Default: `trace.getTracer('perdure')`, of the provider that is registered globally. */
  tracer?: Tracer;
  /**
   * Which participants are named in spans, as `perdure.participant`. Ids may be personal data where spans go far. Default: all.
   */
  participants?: boolean;
}

/** Where a turn was asked for, and when, in real ms since the epoch. */
interface Asked {
  at: number;
  context: Context;
}

/**
 * Traces a runtime, from now on:
 *
 * - `perdure.turn`: from the moment its event was put into the mailbox to its commit, a child of the span in which it was
 *   sent. A deadline's or a result's turn is a root span. A turn that threw has the status ERROR and the exception.
 * - `perdure.commit`: a transaction, with the number of its turns.
 * - `perdure.invocation`: an attempt at an invoked promise.
 * - `perdure.send`: an attempt to hand a message to the transport, without its text and its recipient.
 * - `perdure.recover`: the recovery of a component at the start; trace before `runtime.start()` to have it.
 *
 * A runtime that is not traced pays nothing for it.
 *
 * @returns call it to stop tracing
 */
export function traceRuntime(runtime: Runtime, options: TracingOptions = {}): () => void {
  const { tracer = trace.getTracer('perdure'), participants = true } = options;
  const { events } = runtime;
  const of = ({ flowType, participantId }: Address): Attributes => ({
    'perdure.flow': flowType,
    ...(participants && { 'perdure.participant': participantId }),
  });
  const span = (
    name: string,
    kind: SpanKind,
    start: number,
    parent: Context,
    attributes: Attributes,
    error?: unknown,
  ) => {
    const made = tracer.startSpan(name, { kind, startTime: start, attributes }, parent);
    if (error !== undefined) {
      made.recordException(error instanceof Error ? error : String(error));
      made.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
    }
    made.end();
  };
  const lasted = (name: string, kind: SpanKind, ms: number, attributes: Attributes, error?: unknown) =>
    span(name, kind, Date.now() - ms, ROOT_CONTEXT, attributes, error);
  const turn = (
    { trace: asked, address, event }: Pick<RuntimeEvents['turn'], 'trace' | 'address' | 'event'>,
    more: Attributes,
    error?: unknown,
  ) => {
    const { at, context: parent } = (asked as Asked | undefined) ?? { at: Date.now(), context: ROOT_CONTEXT };
    span('perdure.turn', SpanKind.CONSUMER, at, parent, { ...of(address), 'perdure.event': event, ...more }, error);
  };

  events.trace = (): Asked => ({ at: Date.now(), context: context.active() });
  const stops = [
    events.on('turn', (told) => {
      const { from, to, version, lateness } = told;
      turn(told, {
        ...(from !== null && { 'perdure.from': from }),
        'perdure.to': to,
        'perdure.version': version,
        ...(lateness !== undefined && { 'perdure.lateness_ms': lateness }),
      });
    }),
    events.on('turnFailed', (told) => turn(told, {}, told.error)),
    events.on('committed', ({ turns, ms }) =>
      lasted('perdure.commit', SpanKind.CLIENT, ms, { 'perdure.turns': turns }),
    ),
    events.on('commitFailed', ({ error }) => lasted('perdure.commit', SpanKind.CLIENT, 0, {}, error)),
    events.on('invoked', ({ address, src, attempt, ms }) =>
      lasted('perdure.invocation', SpanKind.INTERNAL, ms, {
        ...of(address),
        'perdure.src': src,
        'perdure.attempt': attempt,
      }),
    ),
    events.on('invocationFailed', ({ address, src, attempt, ms, error }) =>
      lasted(
        'perdure.invocation',
        SpanKind.INTERNAL,
        ms,
        { ...of(address), 'perdure.src': src, 'perdure.attempt': attempt },
        error,
      ),
    ),
    events.on('sent', ({ id, attempts, ms }) =>
      lasted('perdure.send', SpanKind.PRODUCER, ms, { 'perdure.message': id, 'perdure.attempt': attempts }),
    ),
    events.on('sendFailed', ({ id, attempts, ms, error }) =>
      lasted('perdure.send', SpanKind.PRODUCER, ms, { 'perdure.message': id, 'perdure.attempt': attempts }, error),
    ),
    events.on('recovered', ({ component, ms, summary }) =>
      lasted('perdure.recover', SpanKind.INTERNAL, ms, { 'perdure.component': component, 'perdure.summary': summary }),
    ),
  ];
  return () => {
    events.trace = undefined;
    for (const stop of stops) stop();
  };
}
