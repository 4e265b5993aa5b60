import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Measured {
  perSecond: number;
  /** Latency of one operation, in ms. */
  p50: number;
  p99: number;
}

/** Keeps `inFlight` operations under way for `seconds`; counts and times them. */
export async function load(
  inFlight: number,
  seconds: number,
  operation: (worker: number, i: number) => Promise<unknown>,
): Promise<Measured> {
  const times: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  let i = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async (_, worker) => {
      while (performance.now() < end) {
        const began = performance.now();
        await operation(worker, i++);
        times.push(performance.now() - began);
      }
    }),
  );
  return { perSecond: (times.length / (performance.now() - start)) * 1000, ...percentiles(times) };
}

export function percentiles(times: number[]): { p50: number; p99: number } {
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** Runs `body` with the path of a database in a folder of its own. */
export async function withDatabase<T>(body: (file: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-bench-'));
  try {
    return await body(join(folder, 'bench.db'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The middle one of several measurements, each of its figures on its own. */
export function median(measured: readonly Measured[]): Measured {
  const middle = (figures: number[]) => figures.sort((a, b) => a - b)[Math.floor((figures.length - 1) / 2)]!;
  return {
    perSecond: middle(measured.map(({ perSecond }) => perSecond)),
    p50: middle(measured.map(({ p50 }) => p50)),
    p99: middle(measured.map(({ p99 }) => p99)),
  };
}
