/**
 * All that the micro health intervention says. Change or translate freely: ids stay as they are (they are what is
 * recorded), labels and synonyms are what people may type. Case, punctuation and emoji at the edges do not matter.
 */
import type { Choice } from '../../src/machine/index.ts';

/** A question: with options it is a multiple-choice message; without, `hint` says what to reply. */
export interface Question {
  text: string;
  options?: readonly Choice[];
  hint?: string;
}

const yes = ['yes', 'y', 'yeah', 'yep', 'sure', 'ok', 'okay'];
const no = ['no', 'n', 'nope', 'nah'];

/** Words that mean something outside of multiple choice. */
export const words: Record<'ready' | 'done' | 'notDone', readonly Choice[]> = {
  ready: [{ id: 'ready', label: 'Ready', synonyms: ["i'm ready", 'im ready', 'i am ready'] }],
  done: [{ id: 'done', label: 'Done', synonyms: ['did it', 'i did it', 'finished', 'completed', ...yes] }],
  notDone: [{ id: 'no', label: 'No', synonyms: ['not yet', 'not done', 'not now', 'not today', ...no] }],
};

export const questions = {
  commitment: {
    text: 'Are you ready for a quick habit today? It takes one minute.',
    options: [
      { id: '1', label: "🚀 Let's do it!", synonyms: ['lets do it', 'do it', 'ready', 'go', ...yes] },
      { id: '2', label: '⏳ Not yet', synonyms: ['not now', 'not today', 'later', ...no] },
    ],
  },
  feeling: {
    text: 'Great! How do you feel about this first step?',
    options: [
      { id: '1', label: '😃 Excited' },
      { id: '2', label: '🤔 Curious' },
      { id: '3', label: '💪 Motivated' },
      {
        id: '4',
        label: '📖 I need more information',
        synonyms: ['need info', 'i need info', 'need more information'],
      },
      { id: '5', label: '⚖️ Not sure', synonyms: ['unsure', "i'm not sure"] },
    ],
  },
  immediate: {
    text: 'Here it is: stand up, roll your shoulders slowly, and take five deep breaths. When you are done, reply "Done".',
    hint: 'Please reply "Done" when you have done it, or "No" if it does not fit now.',
  },
  reflective: {
    text:
      'First, think for a moment: when did you last feel rested and at ease? Keep that in mind, stand up, and take five ' +
      'deep breaths. When you are done, reply "Done".',
    hint: 'Please reply "Done" when you have done it, or "No" if it does not fit now.',
  },
  gotChance: {
    text: 'Did you get a chance to try it?',
    options: [
      { id: '1', label: '✅ Yes', synonyms: ['done', 'i did', ...yes] },
      { id: '2', label: '❌ No', synonyms: ['not yet', ...no] },
    ],
  },
  context: {
    text: 'What was around you when you tried?',
    options: [
      { id: '1', label: '🧘 Alone and focused', synonyms: ['alone', 'focused'] },
      { id: '2', label: '👥 With others', synonyms: ['others', 'with people'] },
      { id: '3', label: '🎧 A distracting place', synonyms: ['distracting place', 'distracted', 'distracting'] },
      { id: '4', label: '⏰ Busy and stressed', synonyms: ['busy', 'stressed'] },
    ],
  },
  mood: {
    text: 'What was your mood just before?',
    options: [
      { id: '1', label: '😌 Relaxed' },
      { id: '2', label: '😐 Neutral' },
      { id: '3', label: '😣 Stressed' },
    ],
  },
  barrierCheck: {
    text: 'What made it easier or harder? Please tell us in a few words.',
    hint: 'Please reply with a few words.',
  },
  barrierReason: {
    text: 'That is fine. What got in the way?',
    options: [
      { id: '1', label: '🕒 Not enough time', synonyms: ['no time', 'time'] },
      {
        id: '2',
        label: '❓ I did not understand it',
        synonyms: ["i didn't understand it", 'did not understand', "didn't understand"],
      },
      { id: '3', label: '😴 Not motivated', synonyms: ['i was not motivated', 'no motivation'] },
      { id: '4', label: '✏️ Something else', synonyms: ['other', 'another reason'] },
    ],
  },
  barrierWords: {
    text: 'Please tell us in a few words.',
    hint: 'Please reply with a few words.',
  },
} satisfies Record<string, Question>;

export const texts = {
  encouragement: 'No answer is fine too. Every day is a new chance.',
  encouragementAgain: 'When you have a minute, reply "Ready", and we try again together.',
  praise: 'Well done! Small steps like this one add up.',
  notYet: 'No problem. Reply "Ready" if you change your mind.',
  closing: 'That is all for now. Thank you, and until next time!',
  thanks: 'Thank you, your answer helps us. Until next time!',
  allSet: 'You are all set for today. Reply "Ready" if you would like another round.',
  readyHint: 'Reply "Ready" to start now, or just wait for your next prompt.',
  pleaseChoose: 'Please reply with a number:',
  complete: 'The study ends here. Thank you very much for taking part!',
};

export const welcome = (name: string | null) =>
  `Hello${name ? ` ${name}` : ''}, and welcome! Once a day we suggest a habit that takes one minute and ask how it went. ` +
  'You can reply "Ready" at any time to get one right away.';

export const weeklySummary = (times: number) =>
  times === 0
    ? 'Your week: the habit was not done this time. A new week starts now, with new chances.'
    : `Your week: you did the habit ${times === 1 ? 'once' : `${times} times`}. Well done! A new week starts now.`;
