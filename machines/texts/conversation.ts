/** All that the conversation says by itself; the rest comes from the generator. Change or translate freely. */
export const texts = {
  apology: 'Sorry, I could not think of an answer just now. Please write to me again in a little while.',
  textOnly: 'Sorry, I can only read text. Could you put it into words?',
  goodbye: 'Our conversation ends here. Thank you, and take care!',
};
