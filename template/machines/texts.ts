/** All that the flow says, in one place: change it here, translate it here. */
import type { Choice } from 'perdure/machine';

export const texts = {
  ask: (name: string) => `Hi ${name}! How are you today?`,
  thanks: (label: string) => `Thank you, noted: ${label}. See you tomorrow!`,
  unclear: 'Sorry, I did not get that. Please answer with a number from 1 to 3.',
  remind: 'Still there? One number is enough.',
  missed: 'No worries. I will ask again tomorrow.',
};

export const moods: Choice[] = [
  { id: '1', label: 'Good', synonyms: ['great', 'fine', 'well'] },
  { id: '2', label: 'So-so', synonyms: ['ok', 'okay'] },
  { id: '3', label: 'Not good', synonyms: ['bad'] },
];
