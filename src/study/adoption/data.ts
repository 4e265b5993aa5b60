import { shown, textOf, Unreadable } from './columns.ts';

/** The texts of a legacy `state_data`, as the types that our contexts have. */
export class StateData {
  readonly #data: Record<string, unknown>;
  readonly #read = new Set<string>();

  /**
   * @param cell a JSON object, or the empty text that PromptPipe writes where there is nothing to say; it never wrote NULL
   * @throws {Unreadable} it is no JSON, or no object
   */
  constructor(cell: unknown) {
    if (cell === null || cell === undefined) throw new Unreadable('state_data is missing (NULL)');
    this.#data = objectOf(textOf(cell, 'state_data'), 'state_data');
  }

  /** A text; null where there is none. */
  text(key: string): string | null {
    const value = this.#value(key);
    if (value === undefined || value === null || value === '') return null;
    if (typeof value === 'object') throw new Unreadable(`state_data has ${shown(value)} as ${key}, and no text`);
    return String(value);
  }

  /** A whole number from 0. */
  count(key: string): number {
    const text = this.text(key)?.trim() ?? '0';
    if (!/^\d{1,9}$/.test(text)) throw new Unreadable(`state_data has ${shown(text)} as ${key}, and no whole number`);
    return Number(text);
  }

  flag(key: string, otherwise: boolean): boolean {
    const text = this.text(key)?.trim().toLowerCase();
    if (text === undefined) return otherwise;
    if (text === 'true' || text === '1') return true;
    if (text === 'false' || text === '0') return false;
    throw new Unreadable(`state_data has ${shown(text)} as ${key}, and neither "true" nor "false"`);
  }

  /** A JSON object, or the text of one; an empty one where there is none. */
  object(key: string): Record<string, unknown> {
    const value = this.#value(key);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    if (Array.isArray(value)) throw new Unreadable(`${key} is a JSON array, and no object`);
    return objectOf(this.text(key) ?? undefined, key);
  }

  /** Ids of timers that died with the process which had them. */
  get staleTimers(): string[] {
    return Object.keys(this.#data).filter((key) => isTimer(key) && this.#data[key]);
  }

  /** Keys that nobody has asked for, with something in them. */
  get unread(): string[] {
    return Object.keys(this.#data).filter((key) => !isTimer(key) && !this.#read.has(key) && this.#data[key] !== '');
  }

  #value(key: string): unknown {
    this.#read.add(key);
    return Object.hasOwn(this.#data, key) ? this.#data[key] : undefined;
  }
}

const isTimer = (key: string) => /TimerID$/i.test(key);

function objectOf(text: string | undefined, what: string): Record<string, unknown> {
  if (text === undefined || text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Unreadable(`${what} is no JSON: ${(cause as Error).message}`);
  }
  if (typeof value !== 'object' || value === null)
    throw new Unreadable(`${what} is the JSON ${shown(value)}, and no object`);
  if (Array.isArray(value)) throw new Unreadable(`${what} is a JSON array, and no object`);
  return value as Record<string, unknown>;
}
