/**
 * Watches what a turn reads of the clock and of chance. A turn may be done again, before its commit or after a crash, and
 * must then decide alike: it may read `now()` and `random()` of `perdure/machine`, and nothing that differs the next time.
 */
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { isInTurn as isWithin } from '../../machine/ambient.ts';

/** What a turn read that it must not. */
export interface ImpureRead {
  /** E.g. `Date.now()`. */
  what: string;
  /** The function that read it, and the line; as far as the stack tells. */
  where: string;
  /** What to write in its place. */
  instead: string;
}

/** Replaces a source of time or chance within turns, and gives the original back. */
type Trap = (hear: (what: string, instead: string) => void, skew: number) => () => void;

const TIME = "`now()` of 'perdure/machine'";
const CHANCE = "`random()` of 'perdure/machine'";

/** So much apart are the wall clocks of two runs with another skew, in ms. */
const APART = 40 * 86_400_000;

/** Not where something is printed: a test framework's console reads the clock, and what it reads decides nothing. */
const isInTurn = () => isWithin() && !deepStack().includes('node:internal/console/');

const traps: Trap[] = [
  (hear, skew) => {
    const original = Date.now;
    const RealDate = Date;
    const read = (what: string) => {
      if (!isInTurn()) return original();
      hear(what, TIME);
      return original() + skew * APART;
    };
    Date.now = () => read('Date.now()');
    globalThis.Date = new Proxy(RealDate, {
      construct: (target, args, newTarget) =>
        Reflect.construct(target, args.length === 0 ? [read('new Date()')] : args, newTarget),
      apply: () => new RealDate(read('Date()')).toString(),
    });
    return () => {
      globalThis.Date = RealDate;
      Date.now = original;
    };
  },
  (hear, skew) => {
    const original = Math.random;
    Math.random = () => {
      if (!isInTurn()) return original();
      hear('Math.random()', CHANCE);
      return (original() + skew / 2) % 1;
    };
    return () => {
      Math.random = original;
    };
  },
  (hear, skew) => {
    const original = performance.now;
    performance.now = () => {
      if (!isInTurn()) return original.call(performance);
      hear('performance.now()', TIME);
      return original.call(performance) + skew * APART;
    };
    return () => {
      performance.now = original;
    };
  },
  ...(['randomUUID', 'getRandomValues'] as const).map(
    (name): Trap =>
      (hear) => {
        const original = crypto[name] as (...args: unknown[]) => unknown;
        const listening = (...args: unknown[]) => {
          if (isInTurn()) hear(`crypto.${name}()`, `an id from the event or from ${CHANCE}`);
          return original.apply(crypto, args);
        };
        Object.defineProperty(crypto, name, { value: listening, configurable: true, writable: true });
        return () => void Reflect.deleteProperty(crypto, name);
      },
  ),
];

/**
 * Runs `body` and gathers what turns read that they must not. Only one at a time.
 * @param skew moves the wall clock and chance that turns see, so that two runs see different ones
 * @param heard told of each at once
 */
export async function watchingReads<T>(
  skew: number,
  body: () => Promise<T>,
  heard: (read: ImpureRead) => void = () => {},
): Promise<{ result: T; reads: ImpureRead[] }> {
  const reads = new Map<string, ImpureRead>();
  const hear = (what: string, instead: string) => {
    const read = { what, where: caller(), instead };
    reads.set(`${what} ${read.where}`, read);
    heard(read);
  };
  const undo = traps.map((trap) => trap(hear, skew));
  try {
    return { result: await body(), reads: [...reads.values()] };
  } finally {
    for (const back of undo.reverse()) back();
  }
}

const HERE = import.meta.url;
const PART_OF_XSTATE = /[\\/]node_modules[\\/](xstate|@xstate)[\\/]/;
/** What XState was doing when it called the machine's code. */
const ROLES: [pattern: RegExp, role: string][] = [
  [/PreInitialState\b/, 'the first context'],
  [/\b(evaluateGuard|checkGuard)\b/, 'a guard'],
  [/\bresolve(Delay|Raise|SendTo)\b/, 'a delay'],
  [/\bresolveAssign\b/, 'an assign'],
  [/\bresolveEmit\b/, 'an emit'],
  [/\bresolveEnqueueActions\b/, 'an enqueueActions'],
  [/\bresolveSpawn\b/, 'the input of an invocation'],
];

function deepStack(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 40;
  const { stack = '' } = new Error('where');
  Error.stackTraceLimit = stackTraceLimit;
  return stack;
}

/** The first function on the stack that is neither XState's nor ours. */
function caller(): string {
  const frames = stripVTControlCharacters(deepStack())
    .split('\n')
    .slice(1)
    .filter((line) => !line.includes(HERE) && !line.includes(fileURLToPath(HERE)) && !line.includes('Reflect.'));
  const own = frames.find((line) => !PART_OF_XSTATE.test(line)) ?? '';
  const [, name = '', file = ''] = /^\s*at (?:(.*?) \()?(.*?):\d+\)?$/.exec(own) ?? [];
  const role = ROLES.find(([pattern]) => frames.some((line) => PART_OF_XSTATE.test(line) && pattern.test(line)))?.[1];
  const path = file.startsWith('file:') ? fileURLToPath(file) : file;
  const shown = path.startsWith('/') ? relative(process.cwd(), path) : path;
  const called = name
    .split('.')
    .at(-1)
    ?.replace(/^<anonymous>$/, '');
  return [role, called && `\`${called}\``, shown && `(${shown})`].filter(Boolean).join(' ') || 'a turn';
}
