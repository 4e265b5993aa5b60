/**
 * `npm run bench:recovery [-- --quick] [-- --file FILE] [-- --only WORD]`: how a start goes on with a study of a million
 * participants, and what a rush of deadlines does to everybody else. Each measurement is a process of its own, which ends
 * without goodbye; `--file` keeps the study for the next time, e.g. for a run with a cold page cache.
 */
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createRuntime, type RecoveryOptions, type Runtime } from '../src/index.ts';
import { ConversationFlowRecovery, MicroHealthInterventionRecovery } from '../src/study/recovery.ts';
import { percentiles, withDatabase } from './measure.ts';
import { conversation, flows, makeRush, makeStudy, phoneOf } from './study.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    file: { type: 'string' },
    only: { type: 'string', default: '' },
    child: { type: 'string' },
  },
});
const participants = values.quick ? 50_000 : 1_000_000;
const rush = values.quick ? 10_000 : 100_000;

interface Figures {
  /** From `runtime.start()` to its end, in ms. */
  ready: number;
  /** In MB. */
  peak: number;
  [name: string]: number;
}

const mb = () => process.resourceUsage().maxRSS / 1024;
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function open(file: string, recovery: RecoveryOptions): Runtime {
  const runtime = createRuntime({ database: `sqlite:${file}`, flows, transport: { send: () => {} }, recovery });
  runtime.recovery.registerRecoverable(new MicroHealthInterventionRecovery());
  runtime.recovery.registerRecoverable(new ConversationFlowRecovery(conversation));
  runtime.on('fault', ({ during, error }) => console.error(during, error));
  return runtime;
}

async function ready(runtime: Runtime): Promise<number> {
  const began = performance.now();
  await runtime.start();
  return performance.now() - began;
}

let message = 0;
/** A person writes; how long until that is committed, in ms. */
async function write(runtime: Runtime, n: number): Promise<number> {
  const began = performance.now();
  const receipt = await runtime.receive({
    channel: 'sms',
    id: `${process.pid}:${++message}`,
    from: phoneOf(n),
    text: 'Ready',
  });
  if (!receipt.address) throw new Error(`The message of ${phoneOf(n)} was ${receipt.status}.`);
  return performance.now() - began;
}

/** What the processes do. The files are made in such ones too: the peak of a process begins with that of its parent. */
const children: Record<string, (file: string) => Promise<Partial<Figures>>> = {
  async study(file) {
    await makeStudy(file, {
      participants,
      overdue: participants / 100,
      unsent: participants / 200,
      orphans: participants / 500,
    });
    return {};
  },

  async missed(file) {
    await makeRush(file, rush, Date.now() - 60_000);
    return {};
  },

  async coming(file) {
    await makeRush(file, rush, Date.now() + 30_000);
    return {};
  },

  async lazy(file) {
    const runtime = open(file, { mode: 'lazy' });
    const took = await ready(runtime);
    const peak = mb();
    const [first, second] = [await write(runtime, participants - 1), await write(runtime, participants - 2)];
    await wait(5_000);
    const turns = runtime.registry.get().context.flows[flows[0]!.type]!.turns - 2;
    return { ready: took, peak, first, second, turns, later: mb() };
  },

  async verify(file) {
    const runtime = open(file, { mode: 'verify' });
    let told = 0;
    runtime.on('recovering', ({ done, total }) => {
      told++;
      if (process.stderr.isTTY)
        process.stderr.write(`\r  ${done.toLocaleString('en')} of ${total?.toLocaleString('en')}`);
    });
    const took = await ready(runtime);
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    const { durationMs, components, ok } = runtime.recovery.report!;
    const recovered = components.reduce((sum, component) => sum + component.recovered, 0);
    if (!ok) throw new Error(JSON.stringify(components.map(({ failed }) => failed[0])));
    return { ready: took, peak: mb(), rate: (recovered / durationMs) * 1_000, told };
  },

  /** While nobody ran, all came due; they are drained as fast as it goes. */
  async rush(file) {
    return drained(file, { rate: Number.POSITIVE_INFINITY });
  },

  /** The same, at the default pace. */
  async pace(file) {
    const runtime = open(file, {});
    let turns = 0;
    runtime.on('turn', ({ lateness }) => void (lateness !== undefined && turns++));
    const took = await ready(runtime);
    await wait(10_000);
    return { ready: took, peak: mb(), rate: turns / 10 };
  },

  /** All come due at one instant, while it runs. */
  async instant(file) {
    return drained(file, {});
  },
};

/** How long until all have fired, and how long a person's message takes meanwhile. */
async function drained(file: string, recovery: RecoveryOptions): Promise<Figures> {
  const runtime = open(file, recovery);
  let fired = 0;
  let first = 0;
  let latest = 0;
  runtime.on('turn', ({ lateness }) => {
    if (lateness === undefined) return;
    if (fired++ === 0) first = performance.now();
    latest = performance.now();
  });
  const took = await ready(runtime);
  while (fired === 0) await wait(1);
  const latencies: number[] = [];
  // Some who write, among them those whose own deadline has not fired yet.
  for (let n = 0; fired < rush; n++) {
    latencies.push(await write(runtime, (n * 7919) % rush));
    await wait(20);
  }
  const { p50, p99 } = percentiles(latencies);
  return { ready: took, peak: mb(), rate: (fired / (latest - first)) * 1_000, p50, p99, most: latencies.at(-1)! };
}

function run(what: string, file: string): Promise<Figures> {
  return new Promise((resolve, reject) => {
    const args = [`--child=${what}`, `--file=${file}`, ...(values.quick ? ['--quick'] : [])];
    const child = fork(fileURLToPath(import.meta.url), args, { execArgv: [] });
    child.once('message', (figures: Figures) => resolve(figures));
    child.once('exit', (code) => reject(new Error(`${what} ended with ${code}.`)));
  });
}

const number = (value: number) => value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
const line = (what: string, ...cells: string[]) => console.log(`| ${what} | ${cells.join(' | ')} |`);
const wanted = (what: string) => what.includes(values.only);

async function study(file: string): Promise<void> {
  if (!existsSync(file)) await run('study', file);
  const people = `${number(participants)} participants`;
  if (wanted('lazy')) {
    const it = await run('lazy', file);
    line(
      `${people}: lazy`,
      `ready in ${number(it.ready / 1_000)} s`,
      `${number(it.peak)} MB`,
      `first answers after ${number(it.first!)} and ${number(it.second!)} ms; ${number(it.turns! / 5)} overdue a second`,
    );
  }
  if (wanted('verify')) {
    const it = await run('verify', file);
    line(
      `${people}: verify`,
      `${number(it.rate!)} rows/s`,
      `${number(it.peak)} MB`,
      `${number(it.ready / 1_000)} s, told ${it.told} times how far it is`,
    );
  }
}

if (values.child) {
  const figures = await children[values.child]!(values.file!);
  process.send!(figures, () => process.exit(0));
} else {
  console.log('| what | | peak memory | |\n|---|---|---|---|');
  if (wanted('lazy') || wanted('verify')) await (values.file ? study(values.file) : withDatabase(study));
  const due = `${number(rush)} deadlines`;
  for (const [what, make, text] of [
    ['rush', 'missed', `${due} that passed at one instant, rate: Infinity`],
    ['pace', 'missed', `${due} that passed at one instant, by default`],
    ['instant', 'coming', `${due} at one instant to come`],
  ] as const) {
    if (!wanted(what)) continue;
    await withDatabase(async (file) => {
      await run(make, file);
      const { rate, peak, p50, p99 } = await run(what, file);
      line(
        text,
        `${number(rate!)} a second`,
        `${number(peak)} MB`,
        p50 === undefined ? '' : `a person's message meanwhile: p50 ${number(p50)} ms, p99 ${number(p99!)} ms`,
      );
    });
  }
}
