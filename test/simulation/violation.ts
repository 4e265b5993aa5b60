/** A promise of Perdure's that was broken. */
export class Violation extends Error {
  readonly guarantee: string;

  constructor(guarantee: string, message: string) {
    super(`${guarantee}: ${message}`);
    this.guarantee = guarantee;
  }
}

/** An instant as violations tell it. @param at in ms since the epoch */
export const instant = (at: number) => new Date(at).toISOString();
