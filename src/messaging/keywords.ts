/** The words that are understood in every state, before a machine sees them, and what is said then. */
import { InvalidArgumentError } from '../errors.ts';
import type { AnyFlow, InboundMessage } from '../flow/flow.ts';
import {
  assertKeywordRules,
  fold,
  type Keyword,
  type KeywordOptions,
  type KeywordTable,
  keywordTable,
} from '../flow/keyword-rules.ts';

/** What a word means: to whoever is in no flow, or in one without rules of its own; and in flows where it is something else. */
export interface SaidWord {
  keyword: Keyword | undefined;
  /** By the flow's type; undefined where no flow has another meaning. */
  inFlows: ReadonlyMap<string, Keyword | undefined> | undefined;
}

/** A text that is much longer is no word, and need not be looked at. */
const LONGEST = 80;

/** The words of a runtime, by channel and flow. */
export class Keywords {
  /** Of the channels with rules of their own, and of the others (`''`). */
  readonly #channels: ReadonlyMap<string, ReadonlyMap<string, SaidWord>>;

  constructor(options: KeywordOptions, flows: Iterable<AnyFlow>) {
    const { channels = {}, ...general } = options;
    const own = [...flows].filter(({ keywords }) => keywords);
    this.#channels = new Map(
      ['', ...Object.keys(channels)].map((channel) => {
        const base = keywordTable(general, channels[channel]);
        const ofFlows = own.map(
          ({ type, keywords }) => [type, keywordTable(general, channels[channel], keywords)] as const,
        );
        return [channel, saidWords(base, ofFlows)];
      }),
    );
  }

  /** The word that a message consists of. */
  find({ channel, text }: InboundMessage): SaidWord | undefined {
    if (text.length > LONGEST) return undefined;
    return (this.#channels.get(channel) ?? this.#channels.get('')!).get(fold(text));
  }
}

function saidWords(base: KeywordTable, ofFlows: (readonly [string, KeywordTable])[]): Map<string, SaidWord> {
  const words = new Set([base, ...ofFlows.map(([, table]) => table)].flatMap((table) => [...table.keys()]));
  return new Map(
    [...words].map((word) => {
      const keyword = base.get(word);
      const others = ofFlows.filter(([, table]) => table.get(word) !== keyword);
      const inFlows = new Map(others.map(([type, table]) => [type, table.get(word)]));
      return [word, { keyword, inFlows: inFlows.size > 0 ? inFlows : undefined }];
    }),
  );
}

const usual = keywordTable();

/** The keyword that a text consists of, where nobody has made rules of their own. */
export const keywordOf = (text: string): Keyword | undefined =>
  text.length > LONGEST ? undefined : usual.get(fold(text));

/** @throws {InvalidArgumentError} rules that cannot be used */
export function assertKeywords(options: KeywordOptions): void {
  assertKeywordRules(options, 'keywords', ['channels']);
  const { channels = {} } = options;
  if (typeof channels !== 'object' || channels === null || Array.isArray(channels))
    throw new InvalidArgumentError('keywords.channels has the rules of each channel by its name.');
  for (const [channel, rules] of Object.entries(channels)) assertKeywordRules(rules, `keywords.channels.${channel}`);
}

/** What the messaging edge itself says; every text can be replaced with `createRuntime({ texts })`. */
export const defaultTexts = {
  stopped: 'You are opted out and will get no more messages. Reply START to come back.',
  started: 'Welcome back. You will get messages again. Reply STOP to opt out.',
  help: 'Reply STOP to get no more messages, START to get them again.',
  unknown: 'Hello! We do not know this number yet, so nobody here can answer. Please contact whoever gave you ours.',
  problem: 'Sorry, there was a problem on our side with your message. We are looking into it.',
};

export type Texts = typeof defaultTexts;

/** @throws {InvalidArgumentError} a text that is none, or that is never said */
export function assertTexts(texts: Partial<Texts>): void {
  for (const [name, text] of Object.entries(texts)) {
    if (!Object.hasOwn(defaultTexts, name))
      throw new InvalidArgumentError(`texts has no '${name}'. It has ${Object.keys(defaultTexts).join(', ')}.`);
    if (typeof text !== 'string' || text.trim() === '')
      throw new InvalidArgumentError(`texts.${name} must be a text that is not empty.`);
  }
}
