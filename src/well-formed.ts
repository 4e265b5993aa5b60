/** Whether a text can be stored as it is. Half of a surrogate pair is no character: SQLite keeps UTF-8, and would keep another text. */
export const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);
