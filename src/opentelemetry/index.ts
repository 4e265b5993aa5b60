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
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { Address } from '../errors.ts';
import type { Attempt, RuntimeEvents, Tracing } from '../events.ts';
import type { Runtime } from '../runtime/runtime.ts';

/** What is traced, and with what. */
export interface TracingOptions {
  /** Default: `trace.getTracer('perdure')`, of the provider that is registered globally. */
  tracer?: Tracer;
  /**
   * Whether spans tell of participants: their ids, as `perdure.participant`, and what errors say, which may name them or hold
   * what was to be written of them. Both may be personal data where spans go far. Default: true.
   */
  participants?: boolean;
}

/** Where something comes from, and since when, in real ms since the epoch. */
interface Origin {
  at: number;
  context: Context;
}

/**
 * Traces a runtime, from now on:
 *
 * - `perdure.turn`: from the moment its event was put into the mailbox to its commit, a child of the span in which it was
 *   sent. A result's turn is a child of the attempt that brought it; a deadline's is a root. A turn that threw has the status
 *   ERROR and the exception; with `participants: false` its `error.type` alone, since an exception's words may name somebody.
 * - `perdure.invocation`: an attempt at an invoked promise, which runs in this span; a child of the turn that invoked it, and
 *   a root where a former process did.
 * - `perdure.send`: an attempt to hand a message to the transport, which runs in this span, or an event to another actor; a
 *   child of the turn that emitted it, likewise. Without its text and its recipient.
 * - `perdure.commit`: a transaction, with the number of its turns. It belongs to many turns, and is a root.
 * - `perdure.recover`: the recovery of a component at the start; trace before `runtime.start()` to have it.
 *
 * Attributes are OpenTelemetry's where it has them (`messaging.*`, `db.*`, `error.type`), and else begin with `perdure.`.
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
  // What makes and exports spans is the application's: where it throws, no turn may fail for it.
  const safely = <T>(body: () => T, otherwise: T): T => {
    try {
      return body();
    } catch (error) {
      events.emit('fault', { during: 'tracing', error });
      return otherwise;
    }
  };
  const finish = (span: Span, error: unknown) => {
    if (error !== undefined) fail(span, error, participants);
    span.end();
  };
  const lasted = (name: string, kind: SpanKind, ms: number, attributes: Attributes, error?: unknown) =>
    finish(tracer.startSpan(name, { kind, startTime: Date.now() - ms, attributes }, ROOT_CONTEXT), error);

  const contextOf = (origin: unknown) => (origin as Origin | undefined)?.context ?? ROOT_CONTEXT;
  const start = (name: string, kind: SpanKind, parent: Context, attributes: Attributes, startTime = Date.now()) => {
    const span = safely(() => tracer.startSpan(name, { kind, startTime, attributes }, parent), undefined);
    return {
      context: span ? trace.setSpan(parent, span) : parent,
      end: (error?: unknown) => safely(() => span && finish(span, error), undefined),
    };
  };

  events.tracing = {
    origin: (caused): Origin => ({ at: Date.now(), context: caused ? context.active() : ROOT_CONTEXT }),
    turn: (told, from) => {
      const { at } = (from as Origin | undefined) ?? { at: Date.now() };
      const attributes = { ...of(told.address), ...aboutTurn(told) };
      const span = start('perdure.turn', SpanKind.CONSUMER, contextOf(from), attributes, at);
      span.end('error' in told ? told.error : undefined);
      return { at, context: span.context } satisfies Origin;
    },
    begin: (attempt, from) => {
      const span =
        attempt.kind === 'send'
          ? start('perdure.send', SpanKind.PRODUCER, contextOf(from), aboutSend(attempt))
          : start('perdure.invocation', SpanKind.INTERNAL, contextOf(from), {
              ...of(attempt.address),
              ...aboutCall(attempt),
            });
      return { run: (part) => context.with(span.context, part), end: span.end };
    },
    within: (from, body) => context.with(contextOf(from), body),
  } satisfies Tracing;

  const stops = [
    events.on('committed', ({ turns, ms }) => lasted('perdure.commit', SpanKind.CLIENT, ms, aboutCommit(turns))),
    events.on('commitFailed', ({ turns, error }) =>
      lasted('perdure.commit', SpanKind.CLIENT, 0, aboutCommit(turns), error),
    ),
    events.on('recovered', ({ component, ms, summary }) =>
      lasted('perdure.recover', SpanKind.INTERNAL, ms, { 'perdure.component': component, 'perdure.summary': summary }),
    ),
  ];
  return () => {
    events.tracing = undefined;
    for (const stop of stops) stop();
  };
}

function fail(span: Span, error: unknown, inWords: boolean): void {
  const { name, code = name, message = String(error) } = error as { name?: string; code?: string; message?: string };
  span.setAttribute('error.type', code ?? typeof error);
  span.setStatus({ code: SpanStatusCode.ERROR, ...(inWords && { message }) });
  if (inWords) span.recordException(error instanceof Error ? error : message);
}

// https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/

function aboutTurn(told: RuntimeEvents['turn'] | RuntimeEvents['turnFailed']): Attributes {
  const attributes: Attributes = {
    'messaging.system': 'perdure',
    'messaging.operation.type': 'process',
    'messaging.operation.name': 'turn',
    'perdure.event': told.event,
  };
  if ('error' in told) return attributes;
  const { from, to, version, lateness } = told;
  return {
    ...attributes,
    ...(from !== null && { 'perdure.from': from }),
    'perdure.to': to,
    'perdure.version': version,
    ...(lateness !== undefined && { 'perdure.lateness_ms': lateness }),
  };
}

const aboutSend = ({ id, attempt }: Attempt & { kind: 'send' }): Attributes => ({
  'messaging.system': 'perdure',
  'messaging.operation.type': 'send',
  'messaging.operation.name': 'send',
  'messaging.message.id': String(id),
  'perdure.attempt': attempt,
});

const aboutCall = ({ src, attempt }: Attempt & { kind: 'invocation' }): Attributes => ({
  'perdure.src': src,
  'perdure.attempt': attempt,
});

// https://opentelemetry.io/docs/specs/semconv/database/database-spans/
const aboutCommit = (turns: number): Attributes => ({
  'db.system.name': 'sqlite',
  'db.operation.name': 'COMMIT',
  'perdure.turns': turns,
});
