/** The words that every flow understands, in every state, before the machine sees them (FCC 47 CFR 64.1200(a)(10) lists the first ones). */
const STOP = new Set([
  'stop',
  'quit',
  'end',
  'revoke',
  'opt out',
  'optout',
  'opt-out',
  'cancel',
  'unsubscribe',
  'stopall',
  'stop all',
]);
const START = new Set(['start', 'unstop', 'opt in', 'optin', 'opt-in']);
const HELP = new Set(['help', 'info']);

export type Keyword = 'stop' | 'start' | 'help';

/** The keyword that a text consists of, whatever its case, white space and edge punctuation. */
export function keywordOf(text: string): Keyword | undefined {
  const word = text
    .trim()
    .toLowerCase()
    .replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, '')
    .replace(/\s+/g, ' ');
  if (STOP.has(word)) return 'stop';
  if (START.has(word)) return 'start';
  return HELP.has(word) ? 'help' : undefined;
}

/** What the messaging edge itself says; every text can be replaced with `createRuntime({ texts })`. */
export const defaultTexts = {
  stopped: 'You are opted out and will get no more messages. Reply START to come back.',
  started: 'Welcome back. You will get messages again. Reply STOP to opt out.',
  help: 'Reply STOP to get no more messages, START to get them again.',
  unknown: 'Hello! This number does not know you yet. If you take part in a study, please contact its team.',
  problem: 'Sorry, there was a problem on our side with your message. We are looking into it.',
};

export type Texts = typeof defaultTexts;
