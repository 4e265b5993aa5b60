import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { emit, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { type ActorMessage, type Message, message, sendToActor } from '../../src/machine/index.ts';
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

/** Calls a service, which is busy at first, then tells a person, and an actor. */
const courier = defineFlow({
  type: 'courier',
  version: 1,
  invocations: { call: { attempts: 2, backoff: { initial: 0, max: 0 } } },
  logic: setup({
    types: { events: {} as { type: 'go' }, emitted: {} as Message | ActorMessage },
    actors: {
      call: fromPromise(async () => {
        await Promise.resolve();
        if (++calls % 2 === 1) throw new Error('busy');
        outside('fetch');
      }),
    },
  }).createMachine({
    initial: 'waiting',
    states: {
      waiting: { on: { go: 'calling' } },
      calling: { invoke: { src: 'call', onDone: 'told' } },
      told: {
        entry: [
          emit(message('told')),
          emit(sendToActor({ flowType: 'counter', participantId: 'p_1' }, { type: 'inc' })),
        ],
      },
    },
  }),
});
/** Invokes what never ends. */
const slow = defineFlow({
  type: 'slow',
  version: 1,
  invocations: { wait: { timeout: '1s' } },
  logic: setup({ actors: { wait: fromPromise(() => new Promise(() => {})) } }).createMachine({
    initial: 'waiting',
    states: { waiting: { invoke: { src: 'wait', onError: 'late' } }, late: {} },
  }),
});
let calls = 0;
/** What an instrumented library does: a span in the context that it finds. */
let outside = (_name: string) => {};

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
      flows: [counter, worker, courier, slow],
      transport: { send: () => outside('deliver') },
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

  beforeAll(() => {
    outside = (name) => tracer.startSpan(name, {}, context.active()).end();
  });

  /** Every span with those that it came from, but for commits and recovery. */
  const chain = () => {
    const all = exporter.getFinishedSpans();
    const name = (span: (typeof all)[number]) => {
      const { attributes: of, status } = span;
      const what = [of['perdure.src'] ?? of['perdure.event'] ?? of['messaging.message.id'], of['perdure.attempt']];
      const words = [span.name.replace('perdure.', ''), ...(span.name === 'perdure.send' ? what.slice(0, 1) : what)];
      return `${words.filter((word) => word !== undefined).join(' ')}${status.code === SpanStatusCode.ERROR ? ' (failed)' : ''}`;
    };
    const path = (span: (typeof all)[number]): string => {
      const parent = all.find((each) => each.spanContext().spanId === span.parentSpanContext?.spanId);
      return span.parentSpanContext ? `${parent ? path(parent) : '?'} > ${name(span)}` : name(span);
    };
    return all
      .filter((span) => !/commit|recover/.test(span.name))
      .map(path)
      .sort();
  };
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
      'messaging.system': 'perdure',
      'messaging.operation.type': 'process',
      'messaging.operation.name': 'turn',
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
    expect(turn?.attributes['error.type']).toBe('TURN_FAILED');
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
    expect(attributes('send')).toEqual([
      {
        'messaging.system': 'perdure',
        'messaging.operation.type': 'send',
        'messaging.operation.name': 'send',
        'messaging.message.id': '1',
        'perdure.attempt': 1,
      },
    ]);
    expect(JSON.stringify(exporter.getFinishedSpans().map((span) => span.attributes))).not.toMatch(/secret|5551234567/);
  });

  it('tells what came from what: request, turn, invocation and what it calls, its result, what is sent', async () => {
    const actor = await test.spawn(courier, 'c_1', { phoneNumber: '+15551234567' });
    await test.spawn(counter, 'p_1');
    await test.settle();
    exporter.reset();
    const request = tracer.startSpan('request');
    await context.with(trace.setSpan(context.active(), request), () => actor.send({ type: 'go' }));
    request.end();
    await test.settle();
    expect(chain()).toEqual([
      'request',
      'request > turn go',
      'request > turn go > invocation call 1 (failed)',
      'request > turn go > invocation call 2',
      'request > turn go > invocation call 2 > fetch',
      'request > turn go > invocation call 2 > turn xstate.promise.resolve',
      'request > turn go > invocation call 2 > turn xstate.promise.resolve > send 1',
      'request > turn go > invocation call 2 > turn xstate.promise.resolve > send 1 > deliver',
      'request > turn go > invocation call 2 > turn xstate.promise.resolve > send 2',
      'request > turn go > invocation call 2 > turn xstate.promise.resolve > send 2 > turn inc',
    ]);
    const failed = spans('invocation').find(({ status }) => status.code === SpanStatusCode.ERROR);
    expect(failed?.events[0]?.attributes?.['exception.message']).toBe('busy');
    expect(failed?.attributes['error.type']).toBe('Error');
  });

  it('begins anew where a former process asked for it, and for deadlines, whoever is at work just then', async () => {
    await test.spawn(worker, 'w_1');
    await test.settle(); // it is done, and has a deadline
    test.stub('job', () => new Promise(() => {}));
    const invoking = await test.spawn(worker, 'w_2');
    await test.settle();
    await test.crash();
    await test.restart();
    exporter.reset();
    const request = tracer.startSpan('request');
    await context.with(trace.setSpan(context.active(), request), async () => {
      await invoking.getSnapshot(); // which starts its invocation again
      await test.advance('60s');
    });
    request.end();
    await test.stop();
    expect(chain().filter((line) => /invocation|after/.test(line))).toEqual([
      'invocation job 1',
      expect.stringMatching(/^turn xstate.after/),
    ]);
  });

  it('shows an attempt that takes too long, and what follows from that', async () => {
    await test.spawn(slow, 's_1');
    await test.advance('1s');
    expect(chain().at(-1)).toMatch(/^turn xstate.init > invocation wait 1 \(failed\) > turn xstate.promise.reject/);
  });

  it('runs on where what makes spans throws', async () => {
    const faults: unknown[] = [];
    test.runtime.on('fault', ({ error }) => faults.push(error));
    const broken = new BasicTracerProvider({
      spanProcessors: [
        {
          onStart: () => {},
          onEnd: () => {
            throw new Error('exporter');
          },
          shutdown: async () => {},
          forceFlush: async () => {},
        },
      ],
    });
    stop();
    stop = traceRuntime(test.runtime, { tracer: broken.getTracer('broken') });
    const actor = await test.spawn(courier, 'c_1');
    await actor.send({ type: 'go' });
    await test.settle();
    expect((await actor.getSnapshot()).value).toBe('told');
    expect(faults.length).toBeGreaterThan(3);
  });

  it('shows the recovery of each component', () => {
    expect(attributes('recover').map((each) => each['perdure.component'])).toEqual([
      'counter',
      'worker',
      'courier',
      'slow',
    ]);
  });

  it('stops when told to, and names no participant where that is wanted', async () => {
    stop();
    expect(test.runtime.events.tracing).toBeUndefined();
    exporter.reset();
    await test.spawn(counter, 'p_1');
    expect(exporter.getFinishedSpans()).toEqual([]);
    const end = traceRuntime(test.runtime, { tracer, participants: false });
    await test.actor(counter, 'p_1').send({ type: 'inc' });
    expect(attributes('turn')[0]).not.toHaveProperty('perdure.participant');
    end();
  });

  it('says nothing in the words of errors where no participant is to be named', async () => {
    stop();
    stop = traceRuntime(test.runtime, { tracer, participants: false });
    outside = () => {
      throw new Error('+15551234567 cannot be reached');
    };
    const ada = await test.spawn(counter, 'ada@example.org', { phoneNumber: '+15551234567' });
    await ada.send({ type: 'say', text: 'secret' });
    await expect(ada.send({ type: 'throw' })).rejects.toThrow('ada@example.org');
    await test.spawn(slow, 'ada@example.org');
    await test.advance('1s');
    await test.runtime.knex.raw('PRAGMA query_only = ON');
    await expect(ada.send({ type: 'say', text: 'secret' })).rejects.toMatchObject({ code: 'STORE_ERROR' });
    await test.runtime.knex.raw('PRAGMA query_only = OFF');
    const failed = exporter.getFinishedSpans().filter(({ status }) => status.code === SpanStatusCode.ERROR);
    const told = failed.map(({ name, status, events, attributes }) => ({ name, status, events, attributes }));
    for (const name of ['turn', 'send', 'invocation', 'commit'])
      expect(told.map((each) => each.name)).toContain(`perdure.${name}`);
    expect(JSON.stringify(told)).not.toMatch(/ada@|secret|5551234567/);
    expect(told.every((each) => each.attributes['error.type'])).toBe(true);
  });
});
