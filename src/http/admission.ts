/**
 * Keeps what is accepted from waiting for long, where more comes than can be done. Requests that bring work for actors (messages,
 * enrolments) take turns: so many are at work at a time, and the others wait in a line, in the order in which they came. A request
 * that would wait for longer than it may is refused at once. What operators ask never waits here, and neither do deadlines.
 *
 * How long a request would wait follows from the length of the line, and from how many requests were done lately while there was
 * one. A request that has waited for its time all the same, since work has become slower meanwhile, is refused then.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';

/** How many requests are at work at a time: enough that turns commit in groups, and few enough that a deadline is soon among them. */
const PLACES = 256;
/** The requests that are done are counted for so many ms. */
const WINDOW = 250;
/** A guess until the first count, in requests per ms. */
const FIRST_PACE = 1;
/** As many may always wait, so that a pace that has become better is noticed. */
const SHORTEST_LINE = 16;
/** What a timer of Node.js can hold, in ms. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** So much of its time the event loop may spend on refusing. */
const SHARE_OF_REFUSALS = 0.05;

interface Waiting {
  until: number;
  settle: (admitted: boolean) => void;
}

/** The places, and the line before them. */
export class Admission {
  readonly #maxWait: number;
  readonly #now: () => number;
  readonly #line = new Set<Waiting>();
  #atWork = 0;
  #pace = FIRST_PACE;
  /** Since when there was a line, or since the last count. */
  #since: number | undefined;
  #done = 0;
  #alarm: NodeJS.Timeout | undefined;

  /** @param maxWait in ms */
  constructor(maxWait: number, now: () => number = () => performance.now()) {
    this.#maxWait = maxWait;
    this.#now = now;
  }

  /**
   * Asks for a place. Who was admitted leaves it with {@link leave}.
   * @param settle told whether there is one, at once or once that is known
   * @returns leaves the line, where it is still in it: it is told nothing then
   */
  enter(settle: Waiting['settle']): () => void {
    const now = this.#now();
    this.#count(now);
    const waiting = { until: now + this.#maxWait, settle };
    if (this.#atWork < PLACES) {
      this.#atWork++;
      settle(true);
    } else if (this.#line.size >= Math.max(SHORTEST_LINE, this.#maxWait * this.#pace)) {
      settle(false);
    } else {
      this.#since ??= now;
      this.#line.add(waiting);
      this.#watch(now);
    }
    return () => void this.#line.delete(waiting);
  }

  /** Gives the place to the next one. */
  leave(): void {
    this.#done++;
    this.#count(this.#now());
    const [next] = this.#line;
    if (next) this.#settle(next, true);
    else this.#atWork--;
  }

  #settle(waiting: Waiting, admitted: boolean): void {
    this.#line.delete(waiting);
    waiting.settle(admitted);
  }

  #count(now: number): void {
    if (this.#line.size === 0) this.#since = undefined;
    if (this.#since === undefined) this.#done = 0;
    else if (now - this.#since >= WINDOW) {
      this.#pace = this.#done / (now - this.#since);
      this.#done = 0;
      this.#since = now;
    }
  }

  /** Refuses who has waited for long enough. The first in the line is the first whose time is over. */
  #watch(now: number): void {
    const [first] = this.#line;
    if (this.#alarm || !first) return;
    const refuseLate = () => {
      this.#alarm = undefined;
      const now = this.#now();
      this.#count(now);
      for (const waiting of this.#line) {
        if (waiting.until > now) break;
        this.#settle(waiting, false);
      }
      this.#watch(now);
    };
    this.#alarm = setTimeout(refuseLate, Math.min(Math.max(1, first.until - now), LONGEST_TIMER)).unref();
  }
}

/** The place of a request. */
interface Place {
  leave: () => void;
  /** The work is done, whether anybody waits for the answer or not. */
  isWorking: boolean;
}

/** Lets the routes of `app` that are `traffic` through as there is room, and answers the others by `refuse`. */
export function admit(app: FastifyInstance, admission: Admission, refuse: (reply: FastifyReply) => void): void {
  const places = new WeakMap<IncomingMessage, Place>();
  const refuseLater = inShare(refuse);

  app.addHook('onRequest', ({ raw, routeOptions }, reply, done) => {
    if (routeOptions.config?.perdure !== 'traffic') return done();
    let place: Place | undefined;
    const leaveLine = admission.enter((admitted) => {
      if (!admitted) return refuseLater(reply);
      let isOver = false;
      place = {
        isWorking: false,
        leave: () => {
          if (!isOver) admission.leave();
          isOver = true;
        },
      };
      places.set(raw, place);
      done();
    });
    reply.raw.once('close', () => {
      leaveLine();
      if (!place?.isWorking) place?.leave();
    });
  });
  app.addHook('preHandler', ({ raw }, _, done) => {
    const place = places.get(raw);
    if (place) place.isWorking = true;
    done();
  });
  app.addHook('onSend', ({ raw }, _, payload, done) => {
    places.get(raw)?.leave();
    done(null, payload);
  });
}

/**
 * Does to each in turn what is to be done, in a share of the event loop's time. A client that is refused often asks again at
 * once, and to read and refuse all of its requests would leave no time to what was accepted.
 */
function inShare<T>(each: (one: T) => void): (one: T) => void {
  const pending: T[] = [];
  let last = performance.now();
  const next = () => {
    const from = performance.now();
    const end = from + (from - last) * SHARE_OF_REFUSALS;
    do each(pending.shift()!);
    while (pending.length > 0 && performance.now() < end);
    last = performance.now();
    if (pending.length > 0) setImmediate(next);
  };
  return (one) => {
    if (pending.push(one) === 1) setImmediate(next);
  };
}
