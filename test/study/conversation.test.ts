/**
 * Conversations, as a participant lives them: each test is a script of what is said, composed, heard and waited for. The
 * process dies after everything that happens, and at once; what the generator of a dead process still has to say must never
 * be heard.
 */
import { describe, expect, it } from 'vitest';
import type { ConversationEvent, GenerateInput, GenerateOutput } from '../../machines/conversation.ts';
import { texts } from '../../machines/texts/conversation.ts';
import { welcome } from '../../machines/texts/micro-health-intervention.ts';
import { defaultTexts } from '../../src/messaging/keywords.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { type ConversationEnrolment, Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const ADA = '+15551234567';
const START = Date.parse('2026-01-02T08:00Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What the generator was asked for, and a way to let it come to its end. */
interface Call {
  messages: GenerateInput['messages'];
  signal: AbortSignal;
  gives(output: unknown): void;
  fails(error: unknown): void;
}
interface Life {
  test: TestRuntime;
  id: string;
  flow: ReturnType<typeof createConversationFlow>;
  /** All calls of the generator, and how many of them died with their process. */
  calls: Call[];
  dead: number;
  /** Where it is set, the generator throws this before it gives a promise. */
  throws?: Error | undefined;
  heard: number;
  said: number;
  /** What `conversation_participants` must hold. */
  row: Record<string, unknown>;
}
type Step = (life: Life) => Promise<void>;
type Script = readonly (Step | Script)[];

/** Enrols Ada and goes through a script, from the assistant's first word on. Whatever it leaves out must not happen. */
async function live(enrolment: Partial<ConversationEnrolment>, ...script: Script) {
  const calls: Call[] = [];
  const generate = ({ messages }: GenerateInput, signal: AbortSignal) => {
    if (life.throws) throw life.throws;
    return new Promise<GenerateOutput>((resolve, reject) => {
      calls.push({ messages, signal, gives: resolve as Call['gives'], fails: reject });
    });
  };
  const flow = createConversationFlow({ generate });
  const test = await createTestRuntime({ flows: [flow, microHealthInterventionFlow], start: START });
  const life: Life = { test, flow, calls, id: '', dead: 0, heard: 0, said: 0, row: {} };
  try {
    life.id = (await participants(life).enrolInConversation({ phone_number: '1 555 123 4567', ...enrolment })).id;
    const at = iso(test);
    life.row = {
      ...{ id: life.id, phone_number: ADA, name: null, gender: null, ethnicity: null, background: null },
      ...{ timezone: 'UTC', status: 'active', enrolled_at: at, created_at: at, updated_at: at },
      ...enrolment,
    };
    await die(life);
    const steps = script.flat(Number.POSITIVE_INFINITY as 1) as Step[];
    for (const [i, step] of steps.entries()) {
      await step(life).catch((error: Error) => {
        error.message = `step ${i + 1} of ${steps.length}: ${error.message}`;
        throw error;
      });
    }
    await hears()(life);
    expect(await test.knex('conversation_participants')).toEqual([life.row]);
    expect((await test.outbox()).every(({ status }) => status === 'sent')).toBe(true);
  } finally {
    await test.stop();
  }
}

/** The instant so many ms after the enrolment. */
const after = (ms: number) => new Date(START + ms).toISOString();
const iso = (test: TestRuntime) => new Date(test.clock.now()).toISOString();

const participants = ({ test, flow }: Life) =>
  new Participants({ runtime: test.runtime, conversation: flow, systemPrompt: 'Be kind.' });

/** The process dies, and is up again after `down` ms. Its generator lives on, in vain. */
async function die(life: Life, down = 0) {
  const { test, calls } = life;
  await test.crash();
  for (const { gives } of calls.slice(life.dead)) gives({ text: 'A ghost of a dead process.' });
  life.dead = calls.length;
  test.clock.moveTo(test.clock.now() + down);
  await test.restart();
  await test.settle();
}

/** What reached the phone. What a crash left in doubt comes again, is marked so, and is dropped by its key. */
function arrived({ test }: Life) {
  const keys = new Set<string>();
  return test.delivered.filter(({ idempotencyKey, maybeSent }) => {
    if (keys.has(idempotencyKey)) expect(maybeSent).toBe(true);
    return keys.size < keys.add(idempotencyKey).size;
  });
}

async function standing({ test, id, flow }: Life) {
  const actor = test.actor(flow, id);
  const [{ value, context }, timers] = [await actor.getSnapshot(), await actor.timers()];
  const state = typeof value === 'string' ? value : value.CONVERSATION_ACTIVE;
  return { state, context, due: timers.map(({ dueAt }) => dueAt - test.clock.now()) };
}

/** The generator's work under way in this process: what was not given up. */
const underWay = ({ calls, dead }: Life) => calls.slice(dead).filter(({ signal }) => !signal.aborted);

/** The only call under way. */
function call(life: Life): Call {
  expect(underWay(life)).toHaveLength(1);
  return underWay(life)[0]!;
}

// The steps.

/** These messages came since the script last looked, and no others. */
const hears =
  (...expected: string[]): Step =>
  async (life) => {
    await life.test.settle();
    const all = arrived(life).map(({ text }) => text);
    expect(all.slice(life.heard)).toEqual(expected);
    life.heard = all.length;
  };

/** The state, and its only deadline, in ms from now; without one, the generator does not work either. */
const is =
  (expected: string, due?: number): Step =>
  async (life) => {
    const { state, due: deadlines } = await standing(life);
    expect({ state, deadlines }).toEqual({ state: expected, deadlines: due === undefined ? [] : [due] });
    expect(underWay(life)).toHaveLength(expected === 'COMPOSING_REPLY' ? 1 : 0);
  };

const says =
  (text: string, status = 'applied'): Step =>
  async (life) => {
    await hears()(life);
    const sms = { channel: 'sms', id: `SM${++life.said}`, from: ADA, text };
    expect(await life.test.receive(sms)).toMatchObject({ status });
    await die(life);
    expect(await life.test.receive(sms)).toMatchObject({ status: 'duplicate' });
  };

/** The generator is at work on this; a line is `role: content`. */
const isComposing =
  (...lines: string[]): Step =>
  async (life) =>
    expect(call(life).messages.map(({ role, content }) => `${role}: ${content}`)).toEqual(lines);

/** The generator comes to its end; the process dies once that has had its effect. */
const ends =
  (how: (call: Call) => void): Step =>
  async (life) => {
    await hears()(life);
    how(call(life));
    await life.test.settle();
    await die(life);
  };
const composes = (text: string): Script => [ends(({ gives }) => gives({ text })), hears(text.trim())];
const fails = (message = 'overloaded') => ends(({ fails }) => fails(new Error(message)));

const does =
  (event: ConversationEvent): Step =>
  async (life) => {
    await hears()(life);
    await life.test.actor(life.flow, life.id).send(event);
    await die(life);
  };

const waits =
  (ms: number): Step =>
  async (life) => {
    await hears()(life);
    await life.test.advance(ms);
    await die(life);
  };

const isDownFor =
  (ms: number): Step =>
  async (life) => {
    await hears()(life);
    await die(life, ms);
  };

const knows =
  (expected: object): Step =>
  async (life) =>
    expect((await standing(life)).context).toMatchObject(expected);

/** The status in `conversation_participants` has just become this. */
const isNow =
  (status: string): Step =>
  async ({ test, row }) => {
    Object.assign(row, { status, updated_at: iso(test) });
    expect(await test.knex('conversation_participants')).toEqual([row]);
  };

const journals =
  (...notes: string[]): Step =>
  async ({ test, id }) =>
    expect((await test.journal(id)).flatMap(({ note }) => (note && note !== 'ignored' ? [note] : []))).toEqual(notes);

/** The status of Ada in both flows. */
const statuses =
  (...expected: string[]): Step =>
  async ({ test: { knex } }) =>
    expect([
      ...(await knex('conversation_participants').pluck('status')),
      ...(await knex('intervention_participants').pluck('status')),
    ]).toEqual(expected);

// The ways to the states.

const isGreeted = [is('COMPOSING_REPLY', 2 * MINUTE), composes('Hello!'), is('AWAITING_PARTICIPANT')];
const asks = (text: string) => [says(text), is('COMPOSING_REPLY', 2 * MINUTE)];
const failsOnce = [isGreeted, asks('Hi'), fails(), is('RETRYING_SOON', 5_000)];
const failsTwice = [
  failsOnce,
  waits(5_000),
  is('COMPOSING_REPLY', 2 * MINUTE),
  fails(),
  is('RETRYING_LATER', 30_000),
  waits(30_000),
  is('COMPOSING_REPLY', 2 * MINUTE),
];

describe('a conversation', () => {
  it('begins with the assistant, who knows what was said at enrolment', () =>
    live(
      { name: 'Ada', gender: 'female', ethnicity: 'Irish', background: 'Likes tea.', timezone: 'Europe/Dublin' },
      isComposing(
        'system: Be kind.',
        'system: About the participant: Name: Ada. Gender: female. Ethnicity: Irish. Likes tea.',
      ),
      composes(' Hello Ada! \n'),
      is('AWAITING_PARTICIPANT'),
      knows({ conversationHistory: [{ role: 'assistant', content: 'Hello Ada!', timestamp: after(0) }] }),
    ));

  it('goes to and fro, and keeps who said what when', () =>
    live(
      {},
      isComposing('system: Be kind.'),
      waits(MINUTE),
      composes('Hello!'),
      waits(HOUR),
      asks(' How are you? '),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: How are you?'),
      waits(30_000),
      composes('Fine.'),
      waits(HOUR),
      asks('Good.'),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: How are you?', 'assistant: Fine.', 'user: Good.'),
      composes('Indeed.'),
      is('AWAITING_PARTICIPANT'),
      knows({
        conversationHistory: [
          { role: 'assistant', content: 'Hello!', timestamp: after(MINUTE) },
          { role: 'user', content: 'How are you?', timestamp: after(MINUTE + HOUR) },
          { role: 'assistant', content: 'Fine.', timestamp: after(MINUTE + HOUR + 30_000) },
          { role: 'user', content: 'Good.', timestamp: after(MINUTE + 2 * HOUR + 30_000) },
          { role: 'assistant', content: 'Indeed.', timestamp: after(MINUTE + 2 * HOUR + 30_000) },
        ],
        pendingMessages: [],
      }),
    ));

  it('answers together, in order, what came while a reply was composed', () =>
    live(
      {},
      says('zero'),
      is('COMPOSING_REPLY', 2 * MINUTE),
      isComposing('system: Be kind.'),
      waits(MINUTE),
      composes('Hello!'),
      is('COMPOSING_REPLY', 2 * MINUTE),
      says('one'),
      waits(MINUTE),
      says('two'),
      says('three'),
      is('COMPOSING_REPLY', MINUTE),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: zero'),
      composes('To zero.'),
      is('COMPOSING_REPLY', 2 * MINUTE),
      isComposing(
        ...['system: Be kind.', 'assistant: Hello!', 'user: zero', 'assistant: To zero.'],
        ...['user: one', 'user: two', 'user: three'],
      ),
      composes('To all three.'),
      is('AWAITING_PARTICIPANT'),
    ));

  it('answers what is no text at once, in either state, and forgets it', () =>
    live(
      {},
      isGreeted,
      says(' '),
      hears(texts.textOnly),
      is('AWAITING_PARTICIPANT'),
      asks('Hi'),
      says(''),
      hears(texts.textOnly),
      is('COMPOSING_REPLY', 2 * MINUTE),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi'),
      composes('Hi!'),
      is('AWAITING_PARTICIPANT'),
    ));

  it('waits for a participant who is silent, with no deadline and no word', () =>
    live({}, isGreeted, waits(DAY - 1), is('AWAITING_PARTICIPANT'), asks('Good morning!'), composes('Good morning!')));

  it('goes on after any silence, as long as it is not over', () =>
    live(
      {},
      isGreeted,
      waits(30 * DAY),
      asks('Do you know me still?'),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Do you know me still?'),
      composes('Yes.'),
    ));

  it('takes up an update from the next reply on', () =>
    live(
      {},
      isGreeted,
      does({ type: 'update', systemPrompt: 'Be brief.', participantBackground: 'Likes coffee.' }),
      asks('Hi'),
      isComposing('system: Be brief.', 'system: Likes coffee.', 'assistant: Hello!', 'user: Hi'),
      composes('Hi!'),
    ));

  it('ends with a goodbye when an operator says so, whatever is being composed', () =>
    live(
      {},
      isGreeted,
      asks('Hi'),
      does({ type: 'complete' }),
      hears(texts.goodbye),
      is('COMPLETE'),
      isNow('completed'),
      says('Hello?', 'ignored'),
    ));
});

describe('a generator that fails', () => {
  it.each<[string, Step]>([
    ['rejects', fails()],
    ['rejects with no error', ends(({ fails }) => fails('nonsense'))],
    ['gives an empty text', ends(({ gives }) => gives({ text: ' \n' }))],
    ['gives something else', ends(({ gives }) => gives(null))],
    ['gives no text', ends(({ gives }) => gives({ text: 42 }))],
    ['never ends', waits(2 * MINUTE)],
  ])('is asked again after 5 s when it %s, and is heard then', (_, failure) =>
    live(
      {},
      isGreeted,
      asks('Hi'),
      failure,
      is('RETRYING_SOON', 5_000),
      waits(4_999),
      is('RETRYING_SOON', 1),
      waits(1),
      is('COMPOSING_REPLY', 2 * MINUTE),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi'),
      composes('Hi!'),
      is('AWAITING_PARTICIPANT'),
      knows({ failedAttempts: 0, lastError: null }),
      journals(),
    ),
  );

  it('is asked again also when it throws before it gives a promise', () =>
    live({}, isGreeted, setThrows(new Error('no key')), says('Hi'), is('RETRYING_SOON', 5_000), setThrows(), [
      knows({ lastError: 'no key' }),
      waits(5_000),
      is('COMPOSING_REPLY', 2 * MINUTE),
      composes('Hi!'),
    ]));

  it('is asked a third time after 30 s, together with what was said meanwhile', () =>
    live(
      {},
      failsOnce,
      says('Anybody?'),
      is('RETRYING_SOON', 5_000),
      waits(5_000),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi', 'user: Anybody?'),
      says('Hello?'),
      fails('still overloaded'),
      is('RETRYING_LATER', 30_000),
      knows({ failedAttempts: 2, lastError: 'still overloaded' }),
      waits(29_999),
      is('RETRYING_LATER', 1),
      waits(1),
      is('COMPOSING_REPLY', 2 * MINUTE),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi', 'user: Anybody?', 'user: Hello?'),
      composes('Here I am.'),
      is('AWAITING_PARTICIPANT'),
      journals(),
    ));

  it('is apologised for after the third time, once; the failure is journaled and the question kept', () =>
    live(
      {},
      failsTwice,
      fails('out of order'),
      hears(texts.apology),
      is('AWAITING_PARTICIPANT'),
      journals('no reply after 3 attempts: out of order'),
      waits(HOUR),
      asks('Now?'),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi', 'user: Now?'),
      composes('Now.'),
      knows({ failedAttempts: 0, lastError: null }),
    ));

  it('is apologised for though it never ends, and has all its attempts again for the next message', () =>
    live(
      {},
      failsTwice,
      waits(2 * MINUTE),
      hears(texts.apology),
      is('AWAITING_PARTICIPANT'),
      journals('no reply after 3 attempts: The reply took longer than 2 minutes.'),
      asks('Now?'),
      fails(),
      is('RETRYING_SOON', 5_000),
      waits(5_000),
      composes('Now.'),
    ));

  it('loses nothing that was said during its last attempt', () =>
    live(
      {},
      failsTwice,
      says('And by the way'),
      fails(),
      hears(texts.apology),
      is('AWAITING_PARTICIPANT'),
      asks('Now?'),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi', 'user: And by the way', 'user: Now?'),
      composes('Now.'),
    ));

  it('is apologised for at the very beginning too', () =>
    live(
      {},
      fails(),
      waits(5_000),
      fails(),
      waits(30_000),
      fails(),
      hears(texts.apology),
      is('AWAITING_PARTICIPANT'),
      asks('Hi'),
      isComposing('system: Be kind.', 'user: Hi'),
      composes('Hello!'),
    ));

  function setThrows(error?: Error): Step {
    return async (life) => {
      life.throws = error;
    };
  }
});

describe('a process that dies while a reply is composed', () => {
  it('has it composed again, from the same messages, within the same two minutes, and heard once', () =>
    live(
      {},
      isGreeted,
      asks('Hi'),
      [90, 60, 30].map((seconds) => [
        waits(30_000),
        is('COMPOSING_REPLY', seconds * 1_000),
        isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi'),
      ]),
      composes('Hi!'),
      is('AWAITING_PARTICIPANT'),
      waits(HOUR),
    ));

  it('has it composed again also when it had come, and was not committed', () =>
    live(
      {},
      isGreeted,
      asks('Hi'),
      async (life) => {
        call(life).gives({ text: 'Lost.' });
        await die(life);
      },
      is('COMPOSING_REPLY', 2 * MINUTE),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi'),
      composes('Hi!'),
    ));

  it('takes an attempt for failed that was not over in time, and tries again', () =>
    live(
      {},
      isGreeted,
      asks('Hi'),
      isDownFor(10 * MINUTE),
      is('RETRYING_SOON', 5_000),
      waits(5_000),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: Hi'),
      composes('Hi!'),
    ));

  it('begins at once with an attempt that fell due meanwhile', () =>
    live({}, failsOnce, isDownFor(HOUR), is('COMPOSING_REPLY', 2 * MINUTE), composes('Hi!')));
});

describe('STOP', () => {
  it.each<[string, Script]>([
    ['before the first word', []],
    ['while the participant is awaited', isGreeted],
    ['while a reply is composed', [isGreeted, asks('Hi'), says('Hello?')]],
    ['before the second attempt', failsOnce],
    ['during the third attempt', failsTwice],
    ['while paused', [isGreeted, does({ type: 'pause' }), isNow('paused'), says('Hi')]],
  ])('%s ends all of it; START waits for the next message', (_, way) =>
    live(
      {},
      way,
      says('Unsubscribe!', 'stopped'),
      hears(defaultTexts.stopped),
      is('WITHDRAWN'),
      isNow('withdrawn'),
      says('Are you there?', 'ignored'),
      says('stop', 'stopped'),
      says('HELP', 'helped'),
      hears(defaultTexts.help),
      waits(3 * DAY),
      is('WITHDRAWN'),
      says('start', 'started'),
      hears(defaultTexts.started),
      is('AWAITING_PARTICIPANT'),
      isNow('active'),
      waits(HOUR),
      asks('I am back.'),
      async (life) => expect(call(life).messages.at(-1)!.content).toBe('I am back.'),
      // All attempts are there again.
      fails(),
      is('RETRYING_SOON', 5_000),
      waits(5_000),
      composes('Welcome!'),
      is('AWAITING_PARTICIPANT'),
      journals(),
    ),
  );

  it('aborts what is being composed, in the process that is composing it', () =>
    live(
      {},
      isGreeted,
      asks('Hi'),
      async (life) => {
        const { signal, gives } = call(life);
        await life.test.receive({ channel: 'sms', id: 'stop', from: ADA, text: 'STOP' });
        await life.test.settle();
        expect(signal.aborted).toBe(true);
        gives({ text: 'Too late.' });
      },
      [hears(defaultTexts.stopped), die, is('WITHDRAWN'), isNow('withdrawn')],
    ));

  it('ends both flows of a number, is confirmed once, and START brings back both', () =>
    live(
      {},
      isGreeted,
      async (life) => {
        await participants(life).enrolInIntervention({ phone_number: ADA });
        await die(life);
      },
      hears(welcome(null)),
      says('STOP', 'stopped'),
      hears(defaultTexts.stopped),
      is('WITHDRAWN'),
      isNow('withdrawn'),
      statuses('withdrawn', 'withdrawn'),
      waits(2 * DAY),
      says('START', 'started'),
      hears(defaultTexts.started),
      is('AWAITING_PARTICIPANT'),
      isNow('active'),
      statuses('active', 'active'),
    ));
});

describe('pause and resume', () => {
  it('composes nothing meanwhile, abandons what was being composed, and answers all afterwards', () =>
    live(
      {},
      isGreeted,
      asks('one'),
      does({ type: 'pause' }),
      is('PAUSED'),
      isNow('paused'),
      says('two'),
      says(' ', 'ignored'),
      waits(20 * HOUR),
      says('three'),
      is('PAUSED'),
      does({ type: 'resume' }),
      isNow('active'),
      is('COMPOSING_REPLY', 2 * MINUTE),
      isComposing('system: Be kind.', 'assistant: Hello!', 'user: one', 'user: two', 'user: three'),
      composes('To all three.'),
      is('AWAITING_PARTICIPANT'),
    ));

  it('waits on where no reply is owed', () =>
    live(
      {},
      isGreeted,
      does({ type: 'pause' }),
      isNow('paused'),
      waits(HOUR),
      does({ type: 'resume' }),
      isNow('active'),
      is('AWAITING_PARTICIPANT'),
      waits(HOUR),
    ));

  it('gives all attempts anew', () =>
    live(
      {},
      failsTwice,
      does({ type: 'pause' }),
      isNow('paused'),
      does({ type: 'resume' }),
      isNow('active'),
      is('COMPOSING_REPLY', 2 * MINUTE),
      fails(),
      is('RETRYING_SOON', 5_000),
      waits(5_000),
      composes('Hi!'),
    ));
});
