/**
 * Values as a snapshot file shows them: like YAML, with sorted keys, so that what did not change reads the same, and what did
 * is a line of its own. Nothing in it differs from run to run: of an actor reference there is only its id.
 */

/** Lines longer than this are broken, where they can be. */
const WIDTH = 80;

/** A value in one line, or as lines that stand below its name, and beside it what it is. */
export type Printed = string | { type?: string; lines: string[] };

export function print(value: unknown, ancestors: readonly unknown[] = []): Printed {
  if (typeof value !== 'object' || value === null) return scalar(value);
  if (ancestors.includes(value)) return '[circular]';
  if (isActorRef(value)) return `actor ${idOf(value.id)}`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof Error) return `${value.name}: ${JSON.stringify(value.message)}`;
  if (value instanceof RegExp || value instanceof URL) return String(value);
  const inner = (part: unknown) => print(part, [...ancestors, value]);
  if (Array.isArray(value)) return list(undefined, value.map(inner));
  if (ArrayBuffer.isView(value)) return list(value.constructor.name, [...(value as Uint8Array)].map(inner));
  if (value instanceof Set) return list('Set', [...value].map(inner));
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]): [string, Printed] => [oneLine(inner(key)), inner(item)]);
    if (entries.length === 0) return 'Map {}';
    return { type: 'Map', lines: entries.flatMap(([key, item]) => entry(key, item)) };
  }
  const keys = Object.keys(value).sort();
  if (keys.length === 0) return '{}';
  return { lines: keys.flatMap((key) => entry(nameOf(key), inner((value as Record<string, unknown>)[key]))) };
}

/** A name and its value: in one line where there is room. */
export function entry(name: string, value: Printed): string[] {
  if (typeof value === 'string') return [`${name}: ${value}`];
  return [`${name}:${value.type ? ` ${value.type}` : ''}`, ...value.lines.map(indent)];
}

export const indent = (line: string) => `  ${line}`;

/** An actor that was given no id goes by that of its session, `x:1.mf2k:3`: it is the third that was born. */
export const idOf = (id: string) => id.replace(/^x:(?:[\w.]+:)?(\d+)$/, '#$1');

function scalar(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `[Function${value.name ? ` ${value.name}` : ''}]`;
  return Object.is(value, -0) ? '-0' : String(value);
}

function list(type: string | undefined, items: Printed[]): Printed {
  const flat = items.filter((item) => typeof item === 'string');
  const line = `${type ? `${type} ` : ''}[${flat.join(', ')}]`;
  if (flat.length === items.length && line.length <= WIDTH) return line;
  const lines = items.flatMap((item) => {
    const [first, ...rest] = typeof item === 'string' ? [item] : [...(item.type ? [item.type] : []), ...item.lines];
    return [`- ${first}`, ...rest.map(indent)];
  });
  return type ? { type, lines } : { lines };
}

const oneLine = (printed: Printed) => (typeof printed === 'string' ? printed : `{ ${printed.lines.join(', ')} }`);

const nameOf = (key: string) => (/^[\w$.-]+$/.test(key) ? key : JSON.stringify(key));

const isActorRef = (value: object): value is { id: string } =>
  'sessionId' in value && 'send' in value && 'getSnapshot' in value && 'id' in value;
