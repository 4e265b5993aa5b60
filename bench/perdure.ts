/** What the runtime does with every guarantee and the journal on: SQLite, synchronous FULL. */
import { createRuntime, type Runtime, type RuntimeOptions } from '../src/index.ts';
import { messageId } from './ceilings.ts';
import { benchFlow, deadlineFlow } from './machine.ts';
import { load, type Measured, percentiles, withDatabase } from './measure.ts';

const transport = { send: () => {} };
const phone = (i: number) => `+1555${1_000_000 + i}`;

async function withRuntime<T>(
  options: Partial<RuntimeOptions>,
  actors: number,
  body: (runtime: Runtime) => Promise<T>,
): Promise<T> {
  return withDatabase(async (file) => {
    const runtime = createRuntime({ database: `sqlite:${file}`, flows: [benchFlow], transport, ...options });
    await runtime.start();
    for (let at = 0; at < actors; at += 1000) {
      await Promise.all(
        Array.from({ length: Math.min(1000, actors - at) }, (_, i) =>
          runtime.spawn(benchFlow, `p_${at + i}`, { phoneNumber: phone(at + i) }),
        ),
      );
    }
    try {
      return await body(runtime);
    } finally {
      await runtime.stop();
    }
  });
}

/**
 * Inbound messages to hot actors: an actor's row, its deadline, an outgoing message, an inbound mark and a journal line
 * each. `body` is given what measures them, so many in flight for so many seconds.
 */
export function withHotActors(
  actors: number,
  body: (turns: (inFlight: number, seconds: number) => Promise<Measured>, runtime: Runtime) => Promise<void>,
): Promise<void> {
  return withRuntime({}, actors, async (runtime) => {
    let id = 0;
    const turns = (inFlight: number, seconds: number) => {
      const share = Math.max(1, Math.floor(actors / inFlight));
      return load(inFlight, seconds, async (worker, i) => {
        const receipt = await runtime.receive({
          channel: 'sms',
          id: messageId(++id),
          from: phone((worker * share + (i % share)) % actors),
          text: 'yes',
        });
        if (!receipt.handled) throw new Error(`not handled: ${receipt.status}`);
      });
    };
    await turns(200, 1.5); // until the code is compiled
    await body(turns, runtime);
  });
}

/** Turns of actors that are not in memory. */
export function coldTurns(actors: number, cacheSize: number, inFlight: number, seconds: number): Promise<Measured> {
  return withRuntime({ cacheSize }, actors, (runtime) =>
    load(inFlight, seconds, (_, i) =>
      runtime.actor(benchFlow, `p_${(i * 7919) % actors}`).send({ type: 'reply', text: 'yes' }),
    ),
  );
}

/** How late deadlines fire, in ms: so many, spread over so many seconds. */
export async function lateness(
  deadlines: number,
  seconds: number,
): Promise<{ p50: number; p99: number; early: number }> {
  return withDatabase(async (file) => {
    const runtime = createRuntime({ database: `sqlite:${file}`, flows: [deadlineFlow], transport });
    await runtime.start();
    const late: number[] = [];
    runtime.on('turn', ({ lateness }) => lateness !== undefined && late.push(lateness));
    const first = Date.now() + 4000;
    for (let at = 0; at < deadlines; at += 1000) {
      await Promise.all(
        Array.from({ length: Math.min(1000, deadlines - at) }, (_, i) =>
          runtime.spawn(deadlineFlow, `d_${at + i}`, {
            input: { dueAt: first + ((at + i) / deadlines) * seconds * 1000 },
          }),
        ),
      );
    }
    while (late.length < deadlines) await new Promise((resolve) => setTimeout(resolve, 100));
    await runtime.stop();
    return { ...percentiles(late), early: late.filter((ms) => ms < 0).length };
  });
}

/** Bytes of heap that each further actor costs, with a cache of `cacheSize` actors. Needs --expose-gc. */
export function memory(actors: number, cacheSize: number): Promise<number> {
  return withRuntime({ cacheSize }, 2000, async (runtime) => {
    const heap = async () => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      global.gc?.();
      return process.memoryUsage().heapUsed;
    };
    const before = await heap();
    for (let at = 0; at < actors; at += 1000) {
      await Promise.all(
        Array.from({ length: 1000 }, (_, i) =>
          runtime.spawn(benchFlow, `m_${at + i}`, { phoneNumber: phone(100_000 + at + i) }),
        ),
      );
    }
    return ((await heap()) - before) / actors;
  });
}
