import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fromPromise } from 'xstate';
import {
  type ConversationInput,
  conversationMachine,
  type GenerateInput,
  type GenerateOutput,
  type PromptMessage,
} from '../../machines/conversation.ts';
import { texts } from '../../machines/texts/conversation.ts';
import { message } from '../../src/machine/index.ts';
import { DAY, drive, MINUTE } from './drive.ts';

// What comes from a promise comes outside of `withAmbient`, where `now()` is the wall clock.
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-05-01T08:00:00Z') }));
afterEach(() => void vi.useRealTimers());

/** A participant whose generator does what the test tells it to. */
async function enroll(input: Partial<ConversationInput> = {}) {
  const calls: { messages: PromptMessage[]; resolve(result: GenerateOutput): void; reject(reason: unknown): void }[] =
    [];
  const generateReply = fromPromise<GenerateOutput, GenerateInput>(
    ({ input: { messages } }) =>
      new Promise((resolve, reject) => {
        calls.push({ messages, resolve, reject });
      }),
  );
  const machine = conversationMachine.provide({ actors: { generateReply } });
  const driver = drive(machine, { input: { participantId: 'p_1', systemPrompt: 'Be kind.', ...input } });
  const settled = (how: () => void) => {
    how();
    return flush();
  };
  return Object.assign(driver, {
    calls,
    gives: (result: GenerateOutput) => settled(() => calls.at(-1)!.resolve(result)),
    says: (text: string) => settled(() => calls.at(-1)!.resolve({ text })),
    fails: (reason: unknown = new Error('overloaded')) => settled(() => calls.at(-1)!.reject(reason)),
  });
}

/** Lets the reactions to settled promises run. */
const flush = async () => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

type Participant = Awaited<ReturnType<typeof enroll>>;

const stateOf = ({ snapshot }: Participant) => {
  const value = snapshot.value as any;
  return value.CONVERSATION_ACTIVE ?? value;
};
const prompted = ({ calls }: Participant) =>
  calls
    .at(-1)!
    .messages.filter(({ role }) => role !== 'system')
    .map(({ role, content }) => `${role}: ${content}`);

/** A participant who has been greeted. */
async function greeted(input: Partial<ConversationInput> = {}) {
  const participant = await enroll(input);
  await participant.says('Hello!');
  participant.emitted;
  return participant;
}

describe('a conversation', () => {
  it('begins with the assistant', async () => {
    const participant = await enroll();
    expect(stateOf(participant)).toBe('COMPOSING_REPLY');
    expect(participant.snapshot.hasTag('composing')).toBe(true);
    expect(participant.calls[0]!.messages).toEqual([{ role: 'system', content: 'Be kind.' }]);
    await participant.says(' Hello! ');
    expect(participant.emitted).toEqual([message('Hello!')]);
    expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
    expect(participant.snapshot.hasTag('asking')).toBe(true);
    expect(participant.context.conversationHistory).toEqual([
      { role: 'assistant', content: 'Hello!', timestamp: '2026-05-01T08:00:00.000Z' },
    ]);
  });

  it('answers what the participant says, from the prompt, the background and the history', async () => {
    const participant = await greeted({ participantBackground: 'Likes tea.' });
    participant.pass(MINUTE);
    participant.reply(' How are you? ');
    expect(participant.calls.at(-1)!.messages).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'system', content: 'Likes tea.' },
      { role: 'assistant', content: 'Hello!' },
      { role: 'user', content: 'How are you?' },
    ]);
    await participant.says('Fine.');
    expect(participant.emitted).toEqual([message('Fine.')]);
    expect(participant.context.conversationHistory[1]).toEqual({
      role: 'user',
      content: 'How are you?',
      timestamp: '2026-05-01T08:01:00.000Z',
    });
  });

  it('keeps what arrives meanwhile, in order, and answers it together', async () => {
    const participant = await greeted();
    participant.reply('one', 'two', 'three');
    expect(participant.calls).toHaveLength(2);
    expect(prompted(participant)).toEqual(['assistant: Hello!', 'user: one']);
    await participant.says('First.');
    expect(participant.calls).toHaveLength(3);
    expect(prompted(participant).slice(1)).toEqual(['user: one', 'assistant: First.', 'user: two', 'user: three']);
    expect(stateOf(participant)).toBe('COMPOSING_REPLY');
    await participant.says('Second.');
    expect(participant.said).toEqual(['First.', 'Second.']);
    expect(participant.context).toMatchObject({ pendingMessages: [], replyOwed: false });
    expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
  });

  it('keeps the last 50 messages and sends the last 30', async () => {
    const participant = await greeted();
    for (let i = 1; i <= 30; i++) {
      participant.reply(`question ${i}`);
      await participant.says(`answer ${i}`);
    }
    const { conversationHistory } = participant.context;
    expect(conversationHistory).toHaveLength(50);
    expect(conversationHistory[0]!.content).toBe('question 6');
    expect(conversationHistory.at(-1)!.content).toBe('answer 30');
    participant.reply('question 31');
    expect(prompted(participant)).toHaveLength(30);
    expect(prompted(participant)[0]).toBe('assistant: answer 16');
    expect(prompted(participant).at(-1)).toBe('user: question 31');
    expect(participant.context.conversationHistory).toHaveLength(50);
  });

  it.each(['', '  \n'])('says that it reads text only, on %j', async (text) => {
    const participant = await greeted();
    participant.reply(text);
    expect(participant.emitted).toEqual([message(texts.textOnly)]);
    expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
  });

  it('has a context of plain JSON', async () => {
    const participant = await greeted();
    participant.reply('one', 'two');
    expect(JSON.parse(JSON.stringify(participant.context))).toStrictEqual(participant.context);
  });

  it('uses what an update changed from the next reply on', async () => {
    const participant = await greeted({ name: 'Ada' });
    participant.send({ type: 'update', systemPrompt: 'Be brief.', participantBackground: 'Likes coffee.' });
    participant.reply('Hi');
    expect(participant.calls.at(-1)!.messages.slice(0, 2)).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'system', content: 'Likes coffee.' },
    ]);
    expect(participant.context.name).toBe('Ada');
  });
});

describe('a generator that fails', () => {
  it('is tried again after 5 s and after 30 s, and then there is an apology', async () => {
    const participant = await greeted();
    participant.reply('Hi');
    await participant.fails();
    expect(stateOf(participant)).toBe('RETRYING_SOON');
    participant.pass(4_999);
    expect(participant.calls).toHaveLength(2);
    participant.pass(1);
    expect(participant.calls).toHaveLength(3);
    await participant.fails();
    expect(stateOf(participant)).toBe('RETRYING_LATER');
    participant.pass(29_999);
    expect(participant.calls).toHaveLength(3);
    participant.pass(1);
    expect(participant.calls).toHaveLength(4);
    expect(participant.emitted).toEqual([]);
    await participant.fails(new Error('still overloaded'));
    expect(participant.emitted).toEqual([
      message(texts.apology),
      { type: 'failure', error: 'still overloaded', attempts: 3 },
    ]);
    expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
    expect(participant.clock.nextTimer()).toBeUndefined();
  });

  it('gets its three attempts for every reply', async () => {
    const participant = await greeted();
    for (const round of ['first', 'second']) {
      participant.reply(round);
      for (const wait of [5_000, 30_000, 0]) {
        await participant.fails();
        participant.pass(wait);
      }
      expect(participant.emitted.map(({ type }) => type)).toEqual(['message', 'failure']);
    }
    // What was not answered is still there for the next reply.
    participant.reply('third');
    expect(prompted(participant).slice(1)).toEqual(['user: first', 'user: second', 'user: third']);
    await participant.fails();
    participant.pass(5_000);
    await participant.says('All three.');
    expect(participant.said).toEqual(['All three.']);
    expect(participant.context).toMatchObject({ failedAttempts: 0, lastError: null });
  });

  it('is asked again with all that has arrived meanwhile', async () => {
    const participant = await greeted();
    participant.reply('one', 'two');
    await participant.fails();
    participant.reply('three');
    expect(stateOf(participant)).toBe('RETRYING_SOON');
    participant.pass(5_000);
    expect(prompted(participant).slice(1)).toEqual(['user: one', 'user: two', 'user: three']);
  });

  it.each([{ text: '' }, { text: '  ' }, {} as GenerateOutput, undefined as unknown as GenerateOutput])(
    'includes one that gives %j',
    async (result) => {
      const participant = await greeted();
      participant.reply('Hi');
      await participant.gives(result);
      expect(stateOf(participant)).toBe('RETRYING_SOON');
      expect(participant.context.lastError).toBe('The reply was empty.');
      expect(participant.emitted).toEqual([]);
    },
  );

  it('is given up after three empty texts, too', async () => {
    const participant = await greeted();
    participant.reply('Hi');
    for (const state of ['RETRYING_SOON', 'RETRYING_LATER', 'AWAITING_PARTICIPANT']) {
      await participant.says(' ');
      expect(stateOf(participant)).toBe(state);
      participant.pass(30_000);
    }
    expect(participant.emitted).toEqual([
      message(texts.apology),
      { type: 'failure', error: 'The reply was empty.', attempts: 3 },
    ]);
  });

  it.each([
    ['is longer than a message may be', 'a'.repeat(4_097), 'The reply was too long: 4097 characters, of 4096 at most.'],
    ['has nothing that can be seen', ' \u200b\u2060\u3164\n', 'The reply was empty.'],
  ])('is one that %s', async (_, text, lastError) => {
    const participant = await greeted();
    participant.emitted;
    participant.reply('Hi');
    await participant.says(text);
    expect(stateOf(participant)).toBe('RETRYING_SOON');
    expect(participant.snapshot.context.lastError).toBe(lastError);
    expect(participant.emitted).toEqual([]);
  });

  it.each([
    ['as long as the generator asks', 40_000, 40_000, 40_000],
    ['no shorter than by default', 1_000, 5_000, 30_000],
    ['for 10 minutes at most', 86_400_000, 600_000, 600_000],
    ['by default where what it asks is no time', Number.NaN, 5_000, 30_000],
  ])('waits before the next attempt %s', async (_, retryAfter, soon, later) => {
    const participant = await greeted();
    participant.reply('Hi');
    const asked = participant.calls.length;
    for (const [i, wait] of [soon, later].entries()) {
      await participant.fails(Object.assign(new Error('busy'), { retryAfter }));
      participant.pass(wait - 1);
      expect(participant.calls).toHaveLength(asked + i);
      participant.pass(1);
      expect(participant.calls).toHaveLength(asked + i + 1);
    }
    await participant.says('Hello!');
    expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
  });

  it('does not follow a refusal: the participant is told, and the failure is known', async () => {
    const participant = await greeted();
    participant.reply('How do I …?');
    participant.emitted;
    await participant.gives({ text: '', refused: true });
    expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
    expect(participant.emitted).toEqual([
      message(texts.refused),
      { type: 'failure', error: 'The model refused to answer.', attempts: 1 },
    ]);
    participant.reply('Something else, then.');
    expect(prompted(participant).slice(-2)).toEqual([`assistant: ${texts.refused}`, 'user: Something else, then.']);
  });

  it('includes one that takes longer than 2 minutes; its late result does nothing', async () => {
    const participant = await greeted();
    participant.reply('Hi');
    const late = participant.calls.at(-1)!;
    participant.pass(2 * MINUTE - 1);
    expect(stateOf(participant)).toBe('COMPOSING_REPLY');
    participant.pass(1);
    expect(stateOf(participant)).toBe('RETRYING_SOON');
    late.resolve({ text: 'Late.' });
    await flush();
    expect(participant.emitted).toEqual([]);
    participant.pass(5_000 + 2 * MINUTE + 30_000 + 2 * MINUTE);
    expect(participant.emitted).toEqual([
      message(texts.apology),
      { type: 'failure', error: 'The reply took longer than 2 minutes.', attempts: 3 },
    ]);
    expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
  });

  it('is what the machine has until a flow provides one', async () => {
    const participant = drive(conversationMachine, { input: { participantId: 'p_1', systemPrompt: 'Be kind.' } });
    await flush();
    expect(participant.context.lastError).toMatch(/^provide generateReply/);
  });

  it('may reject with what is not an error', async () => {
    const participant = await greeted();
    participant.reply('Hi');
    await participant.fails('busy');
    expect(stateOf(participant)).toBe('RETRYING_SOON');
    expect(participant.context.lastError).toBe('busy');
  });
});

describe('pause and resume', () => {
  it('keep messages, compose nothing, and then answer together', async () => {
    const participant = await greeted();
    participant.send({ type: 'pause' });
    participant.reply('one', '', 'two');
    participant.pass(DAY);
    expect(participant.emitted).toEqual([]);
    expect(participant.calls).toHaveLength(1);
    participant.send({ type: 'resume' });
    expect(prompted(participant).slice(1)).toEqual(['user: one', 'user: two']);
    await participant.says('Both.');
    expect(participant.said).toEqual(['Both.']);
  });

  it('say nothing where nothing is owed', async () => {
    const participant = await greeted();
    participant.send({ type: 'pause' }, { type: 'resume' });
    expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
    expect(participant.calls).toHaveLength(1);
  });

  it.each(['while composing', 'between two attempts'])('compose the reply that is owed anew (%s)', async (when) => {
    const participant = await enroll();
    if (when === 'between two attempts') await participant.fails();
    participant.send({ type: 'pause' });
    expect(participant.snapshot.hasTag('paused')).toBe(true);
    expect(participant.clock.nextTimer()).toBeUndefined();
    participant.calls[0]!.resolve({ text: 'Hello!' });
    await flush();
    expect(participant.emitted).toEqual([]);
    participant.send({ type: 'resume' });
    expect(participant.calls).toHaveLength(2);
    expect(participant.context.failedAttempts).toBe(0);
    await participant.says('Hello again!');
    expect(participant.said).toEqual(['Hello again!']);
  });
});

describe('withdraw and rejoin', () => {
  it.each(['while awaiting', 'while composing', 'between two attempts', 'while paused'])(
    'say nothing (%s)',
    async (when) => {
      const participant = await greeted();
      if (when !== 'while awaiting') participant.reply('Hi');
      if (when === 'between two attempts') await participant.fails();
      if (when === 'while paused') participant.send({ type: 'pause' });
      const calls = participant.calls.length;
      participant.send({ type: 'withdraw' });
      participant.calls.at(-1)!.resolve({ text: 'Too late.' });
      await flush();
      participant.reply('Hello?', '');
      participant.send({ type: 'resume' }, { type: 'reset' }, { type: 'complete' });
      participant.pass(DAY);
      expect(participant.snapshot.value).toBe('WITHDRAWN');
      participant.send({ type: 'rejoin' });
      expect(stateOf(participant)).toBe('AWAITING_PARTICIPANT');
      expect(participant.emitted).toEqual([]);
      expect(participant.calls).toHaveLength(calls);
      participant.reply('Here I am');
      await participant.says('Welcome back.');
      expect(participant.said).toEqual(['Welcome back.']);
    },
  );
});

describe('complete and reset', () => {
  it('complete says goodbye, and is the end', async () => {
    const participant = await greeted();
    participant.reply('Hi');
    participant.send({ type: 'complete' });
    await participant.says('Too late.');
    expect(participant.emitted).toEqual([message(texts.goodbye)]);
    expect(participant.snapshot.status).toBe('done');
    expect(participant.clock.nextTimer()).toBeUndefined();
  });

  it('complete does not write to who is paused', async () => {
    const participant = await greeted();
    participant.send({ type: 'pause' }, { type: 'complete' });
    expect(participant.snapshot.status).toBe('done');
    expect(participant.emitted).toEqual([]);
  });

  it('reset forgets the history, and the assistant speaks first again', async () => {
    const participant = await greeted();
    participant.reply('one', 'two');
    const stale = participant.calls.at(-1)!;
    participant.send({ type: 'reset' });
    stale.resolve({ text: 'Stale.' });
    await flush();
    expect(participant.emitted).toEqual([]);
    expect(prompted(participant)).toEqual([]);
    await participant.says('Hello, again!');
    expect(participant.context.conversationHistory.map(({ content }) => content)).toEqual(['Hello, again!']);
  });

  it('reset while paused takes effect after resuming', async () => {
    const participant = await greeted();
    participant.send({ type: 'pause' }, { type: 'reset' });
    expect(participant.calls).toHaveLength(1);
    participant.send({ type: 'resume' });
    expect(participant.calls).toHaveLength(2);
    expect(prompted(participant)).toEqual([]);
  });
});
