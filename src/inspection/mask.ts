/**
 * What inspectors are shown in place of participants' data. The structure stays: keys, lists, what is null. Of every value
 * there is a mark, by which it is seen to change or to come back, and from which it cannot be told: a keyed hash, whose
 * key is the database's own. Of a truth value, which could be guessed, there is none.
 *
 * Names of the machine's own (events, children, keys) stay, unless they look as if they named a person.
 */
import { createHmac } from 'node:crypto';
import type { Address } from '../errors.ts';

const MASKED = 'masked';

export class Mask {
  readonly #key: string;

  /** @param key the secret of the marks; of one key they are the same for ever */
  constructor(key: string) {
    this.#key = key;
  }

  /** The mark of a participant's id. */
  person(participantId: string): string {
    return `${MASKED}-${this.#mark('person', participantId)}`;
  }

  /** A value of an actor's, with every leaf masked; equal values of different participants have different marks. */
  value(value: unknown, address: Address): unknown {
    return visit(
      value,
      (leaf) => {
        if (typeof leaf === 'boolean') return MASKED;
        if (leaf === address.participantId) return this.person(address.participantId);
        return `${MASKED}-${this.#mark(`${address.flowType}/${address.participantId}`, `${typeof leaf} ${String(leaf)}`)}`;
      },
      (key) => this.name(key, address),
    );
  }

  /** A name, masked only where it looks like a person's. */
  name(name: string, { participantId }: Address): string {
    const isVocabulary = /^[\w.$:#()*-]{0,120}$/.test(name) && !/\d{6}|(^|[^a-z])p_[0-9a-f]{8}/i.test(name);
    if (isVocabulary && !name.includes(participantId)) return name;
    return `${MASKED}-${this.#mark('name', name)}`;
  }

  #mark(whose: string, what: string): string {
    return createHmac('sha256', this.#key).update(`${whose}\n${what}`).digest('hex').slice(0, 8);
  }
}

/** A value as plain JSON, for those who may see it. */
export const plain = (value: unknown): unknown => visit(value, (leaf) => leaf);

type Leaf = string | number | boolean;

function visit(value: unknown, leaf: (value: Leaf) => unknown, name: (key: string) => string = (key) => key): unknown {
  const above: object[] = [];
  const object = (part: object): unknown => {
    if (part instanceof Date) return leaf(Number.isNaN(part.getTime()) ? 'Invalid Date' : part.toISOString());
    if (part instanceof RegExp || part instanceof URL) return leaf(String(part));
    if ('sessionId' in part && 'send' in part)
      return { xstate$$type: 1, id: name(String((part as { id?: unknown }).id)) };
    if (Array.isArray(part)) return part.map(each);
    if (part instanceof Set) return [...part].map(each);
    if (part instanceof Map) return [...part].map(([key, inner]) => [each(key), each(inner)]);
    if (ArrayBuffer.isView(part)) return leaf(`${part.byteLength} bytes`);
    const entries: [string, unknown][] =
      part instanceof Error
        ? [['name', part.name], ['message', part.message], ...Object.entries(part)]
        : Object.entries(part);
    return Object.fromEntries(entries.map(([key, inner]) => [name(key), each(inner)]));
  };
  const each = (part: unknown): unknown => {
    if (part === null || part === undefined) return part;
    if (typeof part === 'bigint' || (typeof part === 'number' && !Number.isFinite(part))) return leaf(String(part));
    if (typeof part === 'function' || typeof part === 'symbol')
      return String((part as { name?: string }).name ?? 'symbol');
    if (typeof part !== 'object') return leaf(part as Leaf);
    if (above.includes(part)) return 'circular';
    above.push(part);
    const result = object(part);
    above.pop();
    return result;
  };
  return each(value);
}
