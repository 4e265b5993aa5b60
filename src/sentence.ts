/** A reason as a sentence, whether it ends like one or not. */
export const sentence = (reason: string) => (/[.!?]$/.test(reason) ? reason : `${reason}.`);
