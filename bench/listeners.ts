/**
 * `npm run bench:listeners [-- --rounds N] [-- --seconds S]`: what it costs to listen, in durable turns a second at 200 in
 * flight. A shared machine is fast one minute and slow the next, so all ways take turns, in another order each round, and
 * each is compared with the turns of nobody listening in its own round. What listened, and does no more, is among them.
 */
import { parseArgs } from 'node:util';
import { BasicTracerProvider, type SpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Runtime, RuntimeEvents } from '../src/index.ts';
import { traceRuntime } from '../src/opentelemetry/index.ts';
import { withHotActors } from './perdure.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, seconds: { type: 'string', default: '2' } },
});

/** A metric counts every turn and every commit. */
const metrics = (runtime: Runtime) => {
  const counts = new Map<string, number>();
  const count = (type: keyof RuntimeEvents) =>
    runtime.on(type, () => void counts.set(type, (counts.get(type) ?? 0) + 1));
  const stops = (['turn', 'committed', 'sent', 'invoked', 'deadLetter'] as const).map(count);
  return () => stops.map((stop) => stop());
};

const observer = { actor: () => {}, event: () => {}, snapshot: () => {} };
const processor: SpanProcessor = {
  onStart: () => {},
  onEnd: () => {},
  forceFlush: async () => {},
  shutdown: async () => {},
};
const provider = new BasicTracerProvider({ spanProcessors: [processor] });

/** Each begins to listen, and gives what ends it. */
const ways: Record<string, (runtime: Runtime) => () => unknown> = {
  nobody: () => () => {},
  'nobody any more: each of those below has come and gone': (runtime) => {
    for (const [name, listen] of Object.entries(ways)) if (!name.startsWith('nobody')) listen(runtime)();
    return () => {};
  },
  'runtime.on: five counters': metrics,
  'runtime.inspect: another participant': (runtime) => runtime.inspect(observer, { participantId: 'nobody' }),
  'runtime.inspect: everybody, unmasked': (runtime) => runtime.inspect(observer, { unmasked: true }),
  'runtime.inspect: everybody, masked': (runtime) => runtime.inspect(observer),
  'traceRuntime: every span made, none exported': (runtime) =>
    traceRuntime(runtime, { tracer: provider.getTracer('bench') }),
};

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
const ratios = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
const rates = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));

await withHotActors(1000, async (turns, runtime) => {
  const names = Object.keys(ways);
  for (let round = 0; round < Number(values.rounds); round++) {
    const order = names.map((_, i) => names[(i + round) % names.length]!);
    const measured = new Map<string, number>();
    for (const name of order) {
      const end = ways[name]!(runtime);
      measured.set(name, (await turns(200, Number(values.seconds))).perSecond);
      end();
    }
    for (const [name, perSecond] of measured) {
      rates.get(name)!.push(perSecond);
      ratios.get(name)!.push(perSecond / measured.get('nobody')!);
    }
  }
});

console.log(
  `Node ${process.version}, medians of ${values.rounds} rounds\n\n| who listens | turns/s | of nobody |\n|---|---|---|`,
);
for (const name of Object.keys(ways)) {
  const share = `${(median(ratios.get(name)!) * 100).toFixed(1)} %`;
  console.log(`| ${name} | ${Math.round(median(rates.get(name)!)).toLocaleString('en-US')} | ${share} |`);
}
