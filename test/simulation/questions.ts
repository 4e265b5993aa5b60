/** What the process was asked, and has not answered yet. Where it lives on, each question is answered in the end. */
import { MINUTE, type Surroundings } from './surroundings.ts';
import { Violation } from './violation.ts';

interface Question {
  text: string;
  life: number;
  /** When it was asked, in ms of the time that has passed. */
  at: number;
}

/** So long may an answer take where nothing goes wrong: some things wait for the next attempt. */
const PATIENCE = 4 * MINUTE;

export class Questions {
  readonly #world: Surroundings;
  readonly #open = new Set<Question>();

  constructor(world: Surroundings) {
    this.#world = world;
  }

  /**
   * Asks, and hears the answer, if the process lives so long.
   * @param answered says for the trace what was answered
   */
  ask<T>(
    text: string,
    ask: () => Promise<T>,
    answered: (answer: T) => string | undefined,
    refused: (error: Error & { code?: string }) => void = () => {},
  ): void {
    const { scheduler, tell } = this.#world;
    const question: Question = { text, life: scheduler.life, at: scheduler.elapsed };
    this.#open.add(question);
    tell(text);
    const told = () => this.#open.delete(question) && scheduler.life === question.life;
    (async () => ask())().then(
      (answer) => {
        if (!told()) return;
        const said = answered(answer);
        tell(`${text} is answered${said === undefined ? '' : `: ${said}`}`);
      },
      (error) => {
        if (!told()) return;
        tell(`${text} is refused: ${error.message}`);
        refused(error);
      },
    );
  }

  /** Each was answered. @throws {Violation} */
  close(): void {
    const { life, elapsed } = this.#world.scheduler;
    for (const { text, life: asked, at } of this.#open)
      if (asked === life && at < elapsed - PATIENCE) throw new Violation('G1', `${text} is never answered`);
  }
}
