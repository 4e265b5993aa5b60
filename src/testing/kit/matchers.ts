/**
 * What a test asks of an actor, for any framework: `(received, …expected) => { pass, message }`. Of an actor of a test
 * runtime the answer is a promise, since it is read once nothing is under way any more; of a snapshot, a view, or what
 * `test.outbox()` and `test.timers()` gave, it is there at once.
 */
import type { StateValue } from 'xstate';
import { describeState } from '../../actor/state.ts';
import { formatAddress, InvalidArgumentError } from '../../errors.ts';
import { isInState } from '../crashes/states.ts';
import { ActorView } from './actor-view.ts';
import { differences, show } from './partial.ts';
import { formatMessage, type SentMessage } from './sent-message.ts';
import { isSnapshot } from './serializer.ts';
import { type ActorsTest, TestActor } from './test-actor.ts';
import { TestRuntime } from './test-runtime.ts';
import { isMeant, type TestTimer, type When } from './test-timer.ts';

/** What a matcher gives to the test framework. */
export interface MatcherResult {
  pass: boolean;
  /** What is wrong: that it does not match, or, under `.not`, that it does. */
  message: () => string;
}

/** What a message is expected to be: its text (of a multiple choice, the question will do), a pattern, or some fields. */
export type ExpectedMessage = string | RegExp | { [K in keyof SentMessage]?: unknown };

/** What a matcher gives: a promise for what has to be read first. */
// biome-ignore lint/suspicious/noConfusingVoidType: it is a return type
export type Answer<T> = T extends TestActor<any> | TestRuntime ? Promise<void> : void;

/** The matchers, as they stand after `expect(received)`. */
export interface PerdureMatchers<T = unknown> {
  /**
   * It is in the state: `'asking'`, `'day.asking'`, or a state value such as `{ day: 'asking' }`; of parallel states those
   * that are named count. Logic without states is in its status. A state that the machine does not have is an error.
   */
  toBeInState(state: string | StateValue): Answer<T>;
  /** Its context holds at least this; `expect.any(Number)` and the like may stand in it. */
  toHaveContext(context: object): Answer<T>;
  /**
   * Such a message was emitted to be sent. Without an argument: any.
   * @example await expect(actor).toHaveSent({ to: '+15551234567', text: /tomorrow/ })
   */
  toHaveSent(message?: ExpectedMessage): Answer<T>;
  /**
   * It has such a deadline, by the delay's name, its id or its event's type. Without a name: any.
   * @example await expect(actor).toHaveTimer('reminder', { in: '15m' })
   */
  toHaveTimer(name?: string | When, when?: When): Answer<T>;
  /** It has come to its end, with at least this output, if one is given. */
  toBeDone(output?: unknown): Answer<T>;
  /** It was put aside, for this reason, if one is given. */
  toBeQuarantined(reason?: string | RegExp): Answer<T>;
}

type Matcher = (received: unknown, ...expected: any[]) => MatcherResult | Promise<MatcherResult>;

/** For `expect.extend(matchers)`. */
export const matchers: { [K in keyof PerdureMatchers]: Matcher } = {
  toBeInState: (received, state: string | StateValue) =>
    withSnapshot('toBeInState', received, ({ snapshot, who }) =>
      result(isInState(snapshot, state), who, `be in ${show(state)}`, `It is in ${show(describeState(snapshot))}.`),
    ),

  toHaveContext: (received, context: object) =>
    withSnapshot('toHaveContext', received, ({ snapshot, who }) => {
      const wrong = differences(context, snapshot.context, 'context');
      const instead = wrong.length > 0 ? lines('', wrong) : `Its context is ${show(snapshot.context)}.`;
      return result(wrong.length === 0, who, `have the context ${show(context)}`, instead);
    }),

  toHaveSent: (received, message?: ExpectedMessage) =>
    withMessages(received, ({ messages, who }) => {
      const what = message === undefined ? 'have sent a message' : `have sent ${show(message)}`;
      const instead = messages.length > 0 ? lines('Sent so far:', messages.map(formatMessage)) : 'It has sent nothing.';
      return result(
        messages.some((each) => isMessage(each, message)),
        who,
        what,
        instead,
      );
    }),

  toHaveTimer: (received, first?: string | When, second?: When) =>
    withTimers(received, ({ timers, who }) => {
      const [name, when] = typeof first === 'object' ? [undefined, first] : [first, second ?? {}];
      const what = [
        'have a deadline',
        ...(name === undefined ? [] : [show(name)]),
        ...('in' in when ? [`in ${typeof when.in === 'number' ? `${when.in} ms` : when.in}`] : []),
        ...('at' in when ? [`at ${new Date(when.at!).toISOString()}`] : []),
      ].join(' ');
      const there = timers.map((each) => `${each.name} in ${each.in}, at ${new Date(each.dueAt).toISOString()}`);
      const instead = there.length > 0 ? lines('Its deadlines:', there) : 'It has no deadlines.';
      return result(
        timers.some((each) => isMeant(each, name, when)),
        who,
        what,
        instead,
      );
    }),

  toBeDone: (received, ...expected: [output?: unknown]) =>
    withSnapshot('toBeDone', received, ({ snapshot, who }) => {
      const { status, output } = snapshot;
      const wrong = expected.length > 0 ? differences(expected[0], output, 'output') : [];
      const how = expected.length > 0 ? ` with ${show(expected[0])}` : '';
      const is =
        status === 'done'
          ? `It is done${output === undefined ? '' : `, with ${show(output)}`}.`
          : `It is ${status}${snapshot.value === undefined ? '' : `, in ${show(describeState(snapshot))}`}.`;
      return result(status === 'done' && wrong.length === 0, who, `be done${how}`, is);
    }),

  toBeQuarantined: (received, reason?: string | RegExp) => {
    const look = (view: Pick<ActorView, 'address' | 'status' | 'lastError'>) => {
      const quarantined = view.status === 'quarantined';
      const why = view.lastError ?? '';
      const meant = reason === undefined || (typeof reason === 'string' ? why.includes(reason) : reason.test(why));
      const is = quarantined ? `It was put aside: ${why}` : `It is ${view.status}.`;
      const how = reason === undefined ? '' : ` for ${show(reason)}`;
      return result(quarantined && meant, formatAddress(view.address), `be quarantined${how}`, is);
    };
    // Not a view: whoever was put aside because the snapshot does not fit the flow has none.
    if (received instanceof TestActor)
      return received.test
        .settle()
        .then(() => received.describe())
        .then((described) => look({ ...described, address: received.address }));
    if (received instanceof ActorView) return look(received);
    throw unfit('toBeQuarantined', 'an actor of a test runtime, or a view of it', received);
  },
};

const result = (pass: boolean, who: string, what: string, instead: string): MatcherResult => ({
  pass,
  message: () => `Expected ${who} ${pass ? 'not ' : ''}to ${what}.\n${instead}`,
});

/** With what may be why, and is easily overlooked. */
const mindful =
  ({ overlooked }: ActorsTest) =>
  (of: MatcherResult): MatcherResult => ({ ...of, message: () => [of.message(), ...overlooked].join('\n') });

const aside = ({ status, lastError }: ActorView) =>
  status === 'quarantined' ? [`It was put aside: ${lastError}`] : [];

const MOST = 20;

function lines(title: string, all: string[]): string {
  const shown = all.slice(-MOST).map((line) => `  ${line}`);
  const left = all.length > MOST ? [`  (${all.length - MOST} before)`] : [];
  return [...(title ? [title] : []), ...left, ...shown].join('\n');
}

function withSnapshot(
  matcher: string,
  received: unknown,
  look: (seen: { snapshot: any; who: string }) => MatcherResult,
) {
  const see = (view: ActorView) => {
    const seen = look({ snapshot: view.snapshot, who: formatAddress(view.address) });
    return { ...seen, message: () => [seen.message(), ...aside(view)].join('\n') };
  };
  if (received instanceof TestActor) return received.view().then(see).then(mindful(received.test));
  if (received instanceof ActorView) return see(received);
  if (isSnapshot(received)) return look({ snapshot: received, who: 'the snapshot' });
  throw unfit(matcher, 'an actor of a test runtime, a view of it, or a snapshot', received);
}

function withMessages(received: unknown, look: (seen: { messages: SentMessage[]; who: string }) => MatcherResult) {
  if (received instanceof TestActor) {
    return received
      .outbox()
      .then((messages) => look({ messages, who: formatAddress(received.address) }))
      .then(mindful(received.test));
  }
  if (received instanceof TestRuntime)
    return received
      .outbox()
      .then((messages) => look({ messages, who: 'the runtime' }))
      .then(mindful(received));
  if (isListOf<SentMessage>(received, 'text')) return look({ messages: received, who: 'the outbox' });
  throw unfit('toHaveSent', 'an actor of a test runtime, a test runtime, or what test.outbox() gave', received);
}

function withTimers(received: unknown, look: (seen: { timers: TestTimer[]; who: string }) => MatcherResult) {
  const see = ({ timers, address }: ActorView) => look({ timers, who: formatAddress(address) });
  if (received instanceof TestActor) return received.view().then(see).then(mindful(received.test));
  if (received instanceof ActorView) return see(received);
  if (isListOf<TestTimer>(received, 'dueAt')) return look({ timers: received, who: 'the actor' });
  throw unfit('toHaveTimer', 'an actor of a test runtime, a view of it, or what test.timers() gave', received);
}

const isListOf = <T>(value: unknown, field: string): value is T[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null && field in item);

function unfit(matcher: string, wanted: string, received: unknown): InvalidArgumentError {
  const is = received instanceof Promise ? 'a promise: await it first' : show(received);
  return new InvalidArgumentError(`${matcher} is asked of ${wanted}. This is ${is}.`);
}

function isMessage(sent: SentMessage, expected: ExpectedMessage | undefined): boolean {
  if (expected === undefined) return true;
  if (typeof expected === 'string') return sent.text === expected || questionOf(sent) === expected;
  if (expected instanceof RegExp) return matches(expected, sent.text);
  return Object.entries(expected).every(([field, value]) => {
    const is = sent[field as keyof SentMessage];
    if (value instanceof RegExp) return matches(value, String(is));
    if (field === 'text' && typeof value === 'string') return isMessage(sent, value);
    return differences(value, is).length === 0;
  });
}

/** The text of a multiple choice without the numbered list under it. */
function questionOf({ text, options }: SentMessage): string {
  const list = options?.map(({ id, label }) => `\n${id}. ${label}`).join('');
  return list && text.endsWith(list) ? text.slice(0, -list.length) : text;
}

/** Whatever the flags are: a pattern with `g` or `y` remembers where it was. */
const matches = (pattern: RegExp, text: string) => text.search(pattern) >= 0;
