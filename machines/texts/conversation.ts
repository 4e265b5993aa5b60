/** All that the conversation says by itself; the rest comes from the generator. Change or translate freely. */
export const texts = {
  apology: 'Sorry, I could not think of an answer just now. Please write to me again in a little while.',
  textOnly: 'Sorry, I can only read text. Could you put it into words?',
  refused: 'Sorry, I cannot talk about that. Is there something else on your mind?',
  goodbye: 'Our conversation ends here. Thank you, and take care!',
};

/** Messages of the user that the assistant is given where the participant has said nothing; nobody else sees them. */
export const cues = {
  /** Where the assistant speaks first. */
  opening: '(I have just joined. Please greet me, and begin our conversation.)',
  /** Where what was said before is left out. */
  earlier: '(Our conversation began earlier.)',
  /** Where the assistant has spoken last. */
  goOn: '(Please go on.)',
};
