/** What a reasoning model thinks before it answers, and what endpoints leave of that in the reply's text. */

/** Names of the tags around thoughts, as models write them. */
const NAMES = 'think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad|seed:think';

/** Tags that open and close thoughts: `<think>`, `[THINK]` (Mistral) and `◁think▷` (Kimi). */
const OPEN = `(?:<\\s*(?:${NAMES})(?:\\s[^<>]*)?>|\\[THINK\\]|◁think▷)`;
const CLOSE = `(?:<\\s*/\\s*(?:${NAMES})\\s*>|\\[/THINK\\]|◁/think▷)`;

/** Channels of gpt-oss, where a server does not take them apart: the last `final` one is the answer. */
const FINAL_CHANNEL = /^[\s\S]*<\|channel\|>\s*final\b[^<]*<\|message\|>/;
const OTHER_CHANNEL = /<\|channel\|>[\s\S]*$/;

const BLOCK = new RegExp(`${OPEN}(?:(?!${OPEN})[\\s\\S])*?${CLOSE}`, 'gi');
/** Chat templates that open the thoughts themselves leave the closing tag alone in the reply. */
const BEFORE_CLOSE = new RegExp(`^[\\s\\S]*${CLOSE}`, 'i');
/** Thoughts that were cut off are not closed. */
const AFTER_OPEN = new RegExp(`${OPEN}[\\s\\S]*$`, 'i');

/** The text of a reply without the thoughts in it; empty where there is nothing else. */
export function withoutThoughts(reply: string): string {
  let text = reply
    .replace(FINAL_CHANNEL, '')
    .replace(OTHER_CHANNEL, '')
    .replace(/<\|(?:end|return)\|>/g, '');
  // From the innermost outwards.
  for (let before = ''; before !== text; ) {
    before = text;
    text = text.replace(BLOCK, '');
  }
  return text.replace(BEFORE_CLOSE, '').replace(AFTER_OPEN, '').trim();
}
