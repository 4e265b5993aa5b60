/** What people type, made comparable: `" Done!. "`, `DONE` and `✅ done` are the same answer. */
import type { Option } from './messages.ts';

/** An option, and what else means it. */
export interface Choice extends Option {
  /** Other words for it; compared by their canonical form. */
  synonyms?: readonly string[];
}

/**
 * The canonical form of a text: lower case, single spaces, no white space, punctuation or emoji at the edges, plain
 * apostrophes, full-width and keycap digits as digits. A text without letters and digits gives `''`.
 */
export function canonical(text: string): string {
  return (
    text
      .normalize('NFKC')
      .replace(KEYCAP, '')
      .replace(/[‘’`´ʼ]/g, "'")
      .toLowerCase()
      // A word may end with combining marks, which many scripts need, but cannot begin with one.
      .replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}\p{M}]+$/gu, '')
      .replace(/\s+/g, ' ')
  );
}

/**
 * The id of the option that a reply means, or `undefined`: its id (`1`, `1.`, `1)`, `1️⃣`, `option 1`), its label with or
 * without emoji, both (`1. Yes`), or one of its synonyms.
 */
export function choose(reply: string, options: readonly Choice[]): string | undefined {
  const said = canonical(reply);
  if (said === '') return options.find(({ label }) => reply.trim() !== '' && bare(reply) === bare(label))?.id;
  const words = said.replace(/^(?:option|number|answer|choice)\s*[^\p{L}\p{N}]*\s*(?=\p{N})/u, '');
  return options.find((option) => means(option, words))?.id;
}

function means({ id, label, synonyms = [] }: Choice, said: string): boolean {
  const key = canonical(id);
  if (said === key || [label, ...synonyms].some((word) => said === canonical(word))) return true;
  return (
    said.startsWith(key) &&
    /^[^\p{L}\p{N}]/u.test(said.slice(key.length)) &&
    canonical(said.slice(key.length)) === canonical(label)
  );
}

/**
 * Whether a text has nothing in it that can be seen: white space, marks of format and fillers are nothing.
 * @example isBlank(' \u200b\n') // true
 */
export const isBlank = (text: string): boolean => BLANK.test(text);

const BLANK = /^[\s\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]*$/u;

/** Variation selectors and the enclosing keycap: combining marks, but no part of any word. */
const KEYCAP = /[\uFE0E\uFE0F\u20E3]/g;

/** For labels that are nothing but emoji. */
const bare = (text: string) => text.replace(KEYCAP, '').trim();
