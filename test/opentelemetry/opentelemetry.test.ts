import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { traceRuntime } from '../../src/opentelemetry/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

const worker = defineFlow({
  type: 'worker',
  version: 1,
  logic: setup({
    actors: {
      job: fromPromise<void, boolean>(async ({ input }) => {
        if (input) throw new Error('no luck');
      }),
    },
  }).createMachine({
    initial: 'trying',
    states: {
      trying: { invoke: { src: 'job', input: true, onError: 'again' } },
      again: { invoke: { src: 'job', input: false, onDone: 'done' } },
      done: { after: { 60000: 'late' } },
      late: {},
    },
  }),
});

describe('OpenTelemetry spans', () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const tracer = provider.getTracer('test');
  let test: TestRuntime;
  let stop = () => {};
  beforeAll(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
  afterAll(() => context.disable());
  beforeEach(async () => {
    test = await createTestRuntime({
      flows: [counter, worker],
      prepare: (runtime) => {
        stop = traceRuntime(runtime, { tracer });
      },
    });
    await test.settle();
  });
  afterEach(async () => {
    await test.stop();
    exporter.reset();
  });

  const spans = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === `perdure.${name}`);
  const attributes = (name: string) => spans(name).map((span) => span.attributes);

  it('makes a turn a child of the span in which it was sent', async () => {
    const actor = await test.spawn(counter, 'p_1');
    exporter.reset();
    const request = tracer.startSpan('request');
    await context.with(trace.setSpan(context.active(), request), () => actor.send({ type: 'throw later' }));
    request.end();
    const [turn] = spans('turn');
    expect(turn?.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
    expect(turn?.attributes).toEqual({
      'perdure.flow': 'counter',
      'perdure.participant': 'p_1',
      'perdure.event': 'throw later',
      'perdure.from': 'calm',
      'perdure.to': 'doomed',
      'perdure.version': 2,
    });
    expect(turn!.duration[0] * 1e9 + turn!.duration[1]).toBeGreaterThanOrEqual(0);
  });

  it('does so in a transaction, too', async () => {
    await test.spawn(counter, 'p_1');
    exporter.reset();
    const request = tracer.startSpan('request');
    await context.with(trace.setSpan(context.active(), request), () =>
      test.runtime.transaction(async (trx) => void (await trx.actor(counter, 'p_1').send({ type: 'inc' }))),
    );
    expect(spans('turn')[0]?.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
  });

  it('shows what made a turn throw', async () => {
    const actor = await test.spawn(counter, 'p_1');
    exporter.reset();
    await expect(actor.send({ type: 'throw' })).rejects.toThrow();
    const [turn] = spans('turn');
    expect(turn?.status).toMatchObject({
      code: SpanStatusCode.ERROR,
      message: expect.stringContaining('the guard threw'),
    });
    expect(turn?.events[0]?.name).toBe('exception');
  });

  it('shows commits, attempts at invocations, deadlines with their lateness, and sends without what is personal', async () => {
    await test.spawn(worker, 'w_1');
    await (await test.spawn(counter, 'p_1', { phoneNumber: '+15551234567' })).send({ type: 'say', text: 'secret' });
    await test.advance('60s');
    expect(attributes('commit').every((each) => Number(each['perdure.turns']) >= 1)).toBe(true);
    expect(spans('invocation').map(({ status, attributes }) => [attributes['perdure.src'], status.code])).toEqual([
      ['job', SpanStatusCode.ERROR],
      ['job', SpanStatusCode.UNSET],
    ]);
    expect(attributes('turn').at(-1)).toMatchObject({ 'perdure.to': 'late', 'perdure.lateness_ms': 0 });
    expect(spans('turn').at(-1)?.parentSpanContext).toBeUndefined();
    expect(attributes('send')).toEqual([{ 'perdure.message': 1, 'perdure.attempt': 1 }]);
    expect(JSON.stringify(exporter.getFinishedSpans().map((span) => span.attributes))).not.toMatch(/secret|5551234567/);
  });

  it('shows the recovery of each component', () => {
    expect(attributes('recover').map((each) => each['perdure.component'])).toEqual(['counter', 'worker']);
  });

  it('stops when told to, and names no participant where that is wanted', async () => {
    stop();
    expect(test.runtime.events.trace).toBeUndefined();
    exporter.reset();
    await test.spawn(counter, 'p_1');
    expect(exporter.getFinishedSpans()).toEqual([]);
    const end = traceRuntime(test.runtime, { tracer, participants: false });
    await test.actor(counter, 'p_1').send({ type: 'inc' });
    expect(attributes('turn')[0]).not.toHaveProperty('perdure.participant');
    end();
  });
});
