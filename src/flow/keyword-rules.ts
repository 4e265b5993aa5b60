/** Which messages are a STOP, a START or a HELP: the rules that a runtime, a channel and a flow make. */
import { InvalidArgumentError } from '../errors.ts';
import { canonical } from '../machine/replies.ts';
import { keywordLanguages } from './keyword-languages.ts';

export type Keyword = 'stop' | 'start' | 'help';

/** A language whose usual words are known, as ISO 639-1. */
export type KeywordLanguage = keyof typeof keywordLanguages;

/** What the words of a runtime, a channel or a flow are. `stop`, `start` and `help` themselves are always among them. */
export interface KeywordRules {
  /** Whose usual words count. Default: all that are known; docs/words-and-numbers.md lists them. */
  languages?: readonly KeywordLanguage[];
  /** More words that opt out. */
  stop?: readonly string[];
  /** More words that bring back who has opted out. */
  start?: readonly string[];
  /** More words that ask for help. */
  help?: readonly string[];
  /** Words that are none: they go to the flow. `stop` and `start` cannot be among them. */
  except?: readonly string[];
}

/** The rules of a runtime, and what is different in a channel. */
export interface KeywordOptions extends KeywordRules {
  channels?: Readonly<Record<string, KeywordRules>>;
}

/** What each word is, in its folded form. */
export type KeywordTable = ReadonlyMap<string, Keyword>;

const KEYWORDS: readonly Keyword[] = ['stop', 'start', 'help'];
const LISTS = [...KEYWORDS, 'except'] as const;

/**
 * A text as words are compared: as answers are (case, width, edge punctuation and emoji), and besides without accents,
 * vowel marks of Arabic, marks that cannot be seen, and with a space for each dash or underscore.
 */
export const fold = (text: string): string =>
  canonical(text)
    .normalize('NFKD')
    .toUpperCase()
    .toLowerCase()
    .replace(/[\u0300-\u036F\u064B-\u0655]|[\p{Cf}'\u0640]/gu, '')
    .replace(/ı/g, 'i')
    .replace(/[\s\p{Pd}_]+/gu, ' ')
    .trim();

/** Builds the table of all words. @param layers rules, each of which changes what those before it say */
export function keywordTable(...layers: readonly (KeywordRules | undefined)[]): KeywordTable {
  const languages = layers.findLast((rules) => rules?.languages)?.languages ?? Object.keys(keywordLanguages);
  const table = new Map<string, Keyword>(KEYWORDS.map((keyword) => [keyword, keyword]));
  const add = (words: Partial<Record<Keyword, readonly string[]>>) => {
    for (const keyword of KEYWORDS) for (const word of words[keyword] ?? []) table.set(fold(word), keyword);
  };
  for (const language of languages) add(keywordLanguages[language as KeywordLanguage]);
  for (const rules of layers) {
    for (const word of rules?.except ?? []) table.delete(fold(word));
    add(rules ?? {});
  }
  return table;
}

/**
 * @param what whose rules they are, e.g. `Flow 'appointment': keywords`
 * @throws {InvalidArgumentError} rules that cannot be used
 */
export function assertKeywordRules(rules: unknown, what: string, also: readonly string[] = []): void {
  const refuse = (why: string) => {
    throw new InvalidArgumentError(`${what}${why}`);
  };
  if (typeof rules !== 'object' || rules === null || Array.isArray(rules)) refuse(' is an object of rules.');
  const given = rules as Record<string, unknown>;
  const known: readonly string[] = ['languages', ...LISTS, ...also];
  for (const field of Object.keys(given))
    if (!known.includes(field)) refuse(` has no option '${field}'. It has ${known.join(', ')}.`);
  const texts = (field: string): string[] => {
    const list = given[field] ?? [];
    if (Array.isArray(list) && list.every((word) => typeof word === 'string')) return list;
    return refuse(`.${field} must be a list of texts.`) as never;
  };
  for (const language of texts('languages'))
    if (!Object.hasOwn(keywordLanguages, language))
      refuse(`.languages: '${language}' is not known. Known are ${Object.keys(keywordLanguages).join(', ')}.`);
  const seen = new Map<string, string>();
  for (const list of LISTS) {
    for (const word of texts(list)) {
      const folded = fold(word);
      if (folded === '') refuse(`.${list}: '${word}' has neither letters nor digits.`);
      if (list !== folded && (folded === 'stop' || folded === 'start'))
        refuse(`.${list}: '${word}' always means ${folded.toUpperCase()}, and cannot mean anything else.`);
      const other = seen.get(folded);
      if (other !== undefined && other !== list) refuse(`: '${word}' is in ${other} and in ${list}. Leave one out.`);
      seen.set(folded, list);
    }
  }
}
