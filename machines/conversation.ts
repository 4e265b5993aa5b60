/**
 * Conversation: a participant talks with an assistant, who speaks first. A reply is composed by `generateReply`, which the
 * flow provides.
 *
 * - Messages that arrive while a reply is being composed, or between two attempts, are kept in order; the next attempt
 *   takes them all.
 * - An attempt that fails, gives an empty text or one that is too long for a message, or takes longer than 2 minutes is
 *   repeated after 5 s, and again after 30 s; later, by up to 10 minutes, where the generator says so (`retryAfter`).
 *   Then the participant gets an apology, and `failure` is emitted. What was not answered stays in the history, so that the
 *   next reply takes it up.
 * - Paused, nothing is composed and nothing is said; messages are kept. An attempt under way is abandoned. Resuming
 *   composes a reply if one is owed.
 * - Withdrawn, nothing is kept or said, until `rejoin`, which waits for the participant's next message. Who had opted out
 *   before the enrolment is withdrawn at once: the assistant speaks first at their `rejoin`.
 * - `reset` forgets the history, and the assistant speaks first again.
 */
import { assign, emit, enqueueActions, fromPromise, setup } from 'xstate';
import { isBlank, type Message, message, now } from '../src/machine/index.ts';
import { texts } from './texts/conversation.ts';

export interface ConversationInput {
  participantId: string;
  /** The first system message of every prompt. */
  systemPrompt: string;
  /** The second one, if there is something to know. */
  participantBackground?: string;
  name?: string;
  /** Has opted out before: `withdraw` follows at once, and the conversation begins with `rejoin`. Default: false. */
  optedOut?: boolean;
}

export interface HistoryMessage {
  role: 'user' | 'assistant';
  content: string;
  /** ISO 8601, UTC. */
  timestamp: string;
}

export interface ConversationContext {
  participantId: string;
  name: string | null;
  systemPrompt: string;
  participantBackground: string | null;
  /** The last 50 messages, oldest first. */
  conversationHistory: HistoryMessage[];
  /** Messages that arrived since the last attempt began. */
  pendingMessages: HistoryMessage[];
  /** The participant waits for the assistant. */
  replyOwed: boolean;
  /** Attempts at the reply that failed. */
  failedAttempts: number;
  lastError: string | null;
  /** How long the generator asked to wait before the next attempt, in ms. */
  retryAfter?: number;
  /** Opted out before the enrolment, and has not come back yet. */
  optedOut?: boolean;
}

export type ConversationEvent =
  /** What the participant's phone said. */
  | { type: 'reply'; text: string }
  | { type: 'pause' }
  | { type: 'resume' }
  /** Opts out. */
  | { type: 'withdraw' }
  /** Comes back after `withdraw`. */
  | { type: 'rejoin' }
  /** Ends the conversation. */
  | { type: 'complete' }
  /** Starts over. */
  | { type: 'reset' }
  | { type: 'update'; name?: string; participantBackground?: string; systemPrompt?: string };

/** All attempts at a reply failed; the participant got an apology. */
export interface ConversationFailure {
  type: 'failure';
  error: string;
  attempts: number;
}

export type ConversationEmitted = Message | ConversationFailure;

export interface PromptMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** What `generateReply` gets and gives. */
export interface GenerateInput {
  messages: PromptMessage[];
}
export interface GenerateOutput {
  text: string;
  /** The model would not answer: the participant is told so, and nothing is tried again. */
  refused?: boolean;
}

/** What `generateReply` may reject with; any other error will do, too. */
export interface GenerateFailure extends Error {
  /** The next attempt has to wait for so long, in ms. */
  retryAfter?: number;
}

/** The context of a participant who has just been enrolled: the assistant owes the first word. */
export function conversationContext(input: ConversationInput): ConversationContext {
  return {
    participantId: input.participantId,
    name: input.name ?? null,
    systemPrompt: input.systemPrompt,
    participantBackground: input.participantBackground ?? null,
    conversationHistory: [],
    pendingMessages: [],
    replyOwed: true,
    failedAttempts: 0,
    lastError: null,
    ...(input.optedOut && { optedOut: true }),
  };
}

const KEPT = 50;
/** Characters of the longest reply: what a message of WhatsApp holds. */
const LONGEST_REPLY = 4_096;
/** Nobody is kept waiting for longer between two attempts, in ms, whatever the generator asks for. */
const LONGEST_WAIT = 600_000;
const PROMPTED = 30;

/** The system prompt, the participant's background, and the last 30 messages. */
export function prompt({
  systemPrompt,
  participantBackground,
  conversationHistory,
}: ConversationContext): PromptMessage[] {
  return [
    { role: 'system', content: systemPrompt },
    ...(participantBackground ? [{ role: 'system' as const, content: participantBackground }] : []),
    ...conversationHistory.slice(-PROMPTED).map(({ role, content }) => ({ role, content })),
  ];
}

const entry = (role: HistoryMessage['role'], content: string): HistoryMessage => ({
  role,
  content,
  timestamp: new Date(now()).toISOString(),
});

// XState types named actions and guards by the machine's own events; these two come from the invocation.
const generatedText = (event: object): string => {
  const { output } = event as { output?: Partial<GenerateOutput> | undefined };
  if (output?.refused === true) return texts.refused;
  return typeof output?.text === 'string' && !isBlank(output.text) ? output.text.trim() : '';
};
const isRefusal = (event: object) => (event as { output?: Partial<GenerateOutput> }).output?.refused === true;
const isSayable = (event: object) => {
  const { length } = generatedText(event);
  return length > 0 && length <= LONGEST_REPLY;
};
const retryAfterOf = (event: object): number => {
  const { retryAfter } = ('error' in event ? Object(event.error) : {}) as Partial<GenerateFailure>;
  return typeof retryAfter === 'number' && retryAfter > 0 ? Math.min(retryAfter, LONGEST_WAIT) : 0;
};

function problemOf(event: object): string {
  if ('error' in event) return event.error instanceof Error ? event.error.message : String(event.error);
  const { length } = generatedText(event);
  if (length > 0) return `The reply was too long: ${length} characters, of ${LONGEST_REPLY} at most.`;
  return 'output' in event ? 'The reply was empty.' : 'The reply took longer than 2 minutes.';
}

export const conversationMachine = setup({
  types: {
    context: {} as ConversationContext,
    events: {} as ConversationEvent,
    input: {} as ConversationInput,
    emitted: {} as ConversationEmitted,
    tags: {} as 'asking' | 'composing' | 'retrying' | 'paused' | 'withdrawn' | 'completed',
  },
  actors: {
    generateReply: fromPromise<GenerateOutput, GenerateInput>(async () => {
      throw new Error('provide generateReply: conversationMachine.provide({ actors: { generateReply } }).');
    }),
  },
  delays: {
    composingDeadline: 120_000,
    shortBackoff: ({ context }) => Math.max(5_000, context.retryAfter ?? 0),
    longBackoff: ({ context }) => Math.max(30_000, context.retryAfter ?? 0),
  },
  guards: {
    saidSomething: ({ event }) => event.type === 'reply' && !isBlank(event.text),
    isText: ({ event }) => isSayable(event),
    moreArrived: ({ event, context }) => isSayable(event) && context.pendingMessages.length > 0,
    firstFailure: ({ context }) => context.failedAttempts === 0,
    secondFailure: ({ context }) => context.failedAttempts === 1,
    hasOptedOut: ({ context }) => context.optedOut === true,
    owesReply: ({ context }) => context.replyOwed || context.pendingMessages.length > 0,
  },
  actions: {
    keepMessage: assign({
      pendingMessages: ({ context, event }) =>
        event.type === 'reply'
          ? [...context.pendingMessages, entry('user', event.text.trim())]
          : context.pendingMessages,
    }),
    /** The attempt that begins answers all that has arrived. */
    takeMessages: assign(({ context }) => ({
      conversationHistory: [...context.conversationHistory, ...context.pendingMessages].slice(-KEPT),
      pendingMessages: [],
      replyOwed: true,
    })),
    sayReply: enqueueActions(({ context, event, enqueue }) => {
      const text = generatedText(event);
      enqueue.emit(message(text));
      if (isRefusal(event))
        enqueue.emit({ type: 'failure', error: 'The model refused to answer.', attempts: context.failedAttempts + 1 });
      enqueue.assign({
        conversationHistory: [...context.conversationHistory, entry('assistant', text)].slice(-KEPT),
        replyOwed: false,
        failedAttempts: 0,
        lastError: null,
      });
    }),
    noteFailure: assign(({ context, event }) => ({
      failedAttempts: context.failedAttempts + 1,
      lastError: problemOf(event),
      retryAfter: retryAfterOf(event),
    })),
    giveUp: enqueueActions(({ context, enqueue }) => {
      enqueue.emit(message(texts.apology));
      enqueue.emit({ type: 'failure', error: context.lastError ?? 'unknown', attempts: context.failedAttempts });
      enqueue.assign({ replyOwed: false, failedAttempts: 0 });
    }),
    begin: assign({ optedOut: false, replyOwed: true }),
    /** Nothing is owed any more. */
    settle: assign({ replyOwed: false, failedAttempts: 0 }),
    forgetAttempts: assign({ failedAttempts: 0 }),
    sayTextOnly: emit(message(texts.textOnly)),
    sayGoodbye: emit(message(texts.goodbye)),
    forgetConversation: assign({
      conversationHistory: [],
      pendingMessages: [],
      replyOwed: true,
      failedAttempts: 0,
      lastError: null,
    }),
    updateParticipant: assign(({ context, event }) => {
      if (event.type !== 'update') return {};
      const { name = context.name, participantBackground = context.participantBackground } = event;
      return { name, participantBackground, systemPrompt: event.systemPrompt ?? context.systemPrompt };
    }),
  },
}).createMachine({
  id: 'conversation',
  description: 'A conversation of a participant with an assistant, who speaks first.',
  context: ({ input }) => conversationContext(input),
  initial: 'CONVERSATION_ACTIVE',
  states: {
    CONVERSATION_ACTIVE: {
      description: 'The conversation goes on.',
      initial: 'COMPOSING_REPLY',
      on: {
        reply: [
          { guard: 'saidSomething', actions: 'keepMessage', description: 'Kept in order, for the next attempt.' },
          { actions: 'sayTextOnly' },
        ],
        pause: '.PAUSED',
        withdraw: {
          target: 'WITHDRAWN',
          actions: 'settle',
          description: 'The participant opts out: what is being composed is abandoned, nothing is said.',
        },
        complete: { target: 'COMPLETE', actions: 'sayGoodbye', description: 'An operator ends the conversation.' },
        reset: { target: '.COMPOSING_REPLY', actions: 'forgetConversation', description: 'Starts over.' },
        update: { actions: 'updateParticipant' },
      },
      states: {
        AWAITING_PARTICIPANT: {
          description: 'Waits for the participant to say something; no deadline.',
          tags: 'asking',
          on: {
            reply: { guard: 'saidSomething', target: 'COMPOSING_REPLY', actions: 'keepMessage' },
          },
        },
        COMPOSING_REPLY: {
          description: 'A reply to all that has arrived is composed. An attempt has 2 minutes.',
          tags: 'composing',
          entry: 'takeMessages',
          invoke: {
            id: 'generateReply',
            src: 'generateReply',
            input: ({ context }) => ({ messages: prompt(context) }),
            onDone: [
              {
                guard: 'moreArrived',
                target: 'COMPOSING_REPLY',
                reenter: true,
                actions: 'sayReply',
                description: 'More has arrived meanwhile: it is answered together.',
              },
              { guard: 'isText', target: 'AWAITING_PARTICIPANT', actions: 'sayReply' },
              { guard: 'firstFailure', target: 'RETRYING_SOON', actions: 'noteFailure' },
              { guard: 'secondFailure', target: 'RETRYING_LATER', actions: 'noteFailure' },
              { target: 'AWAITING_PARTICIPANT', actions: ['noteFailure', 'giveUp'] },
            ],
            onError: [
              { guard: 'firstFailure', target: 'RETRYING_SOON', actions: 'noteFailure' },
              { guard: 'secondFailure', target: 'RETRYING_LATER', actions: 'noteFailure' },
              {
                target: 'AWAITING_PARTICIPANT',
                actions: ['noteFailure', 'giveUp'],
                description: 'The third failure: an apology.',
              },
            ],
          },
          after: {
            composingDeadline: [
              { guard: 'firstFailure', target: 'RETRYING_SOON', actions: 'noteFailure' },
              { guard: 'secondFailure', target: 'RETRYING_LATER', actions: 'noteFailure' },
              { target: 'AWAITING_PARTICIPANT', actions: ['noteFailure', 'giveUp'] },
            ],
          },
        },
        RETRYING_SOON: {
          description: 'The first attempt failed; the second begins after 5 seconds, or when the generator said.',
          tags: ['composing', 'retrying'],
          after: { shortBackoff: 'COMPOSING_REPLY' },
        },
        RETRYING_LATER: {
          description:
            'The second attempt failed; the third and last begins after 30 seconds, or when the generator said.',
          tags: ['composing', 'retrying'],
          after: { longBackoff: 'COMPOSING_REPLY' },
        },
        PAUSED: {
          description:
            'Nothing is composed and nothing is said; messages are kept and answered together after resuming.',
          tags: 'paused',
          entry: 'forgetAttempts',
          on: {
            reply: [
              { guard: 'saidSomething', actions: 'keepMessage' },
              { description: 'Not text: nothing is said about it.' },
            ],
            resume: [{ guard: 'owesReply', target: 'COMPOSING_REPLY' }, { target: 'AWAITING_PARTICIPANT' }],
            reset: { actions: 'forgetConversation', description: 'Starts over after resuming.' },
            complete: { target: '#conversation.COMPLETE', description: 'Ends without a word.' },
          },
        },
      },
    },
    WITHDRAWN: {
      description: 'Has opted out. Nothing is composed or said, until the participant comes back.',
      tags: 'withdrawn',
      on: {
        rejoin: [
          {
            guard: 'hasOptedOut',
            target: '#conversation.CONVERSATION_ACTIVE',
            actions: 'begin',
            description: 'Had opted out before the enrolment: the conversation begins now.',
          },
          {
            target: '#conversation.CONVERSATION_ACTIVE.AWAITING_PARTICIPANT',
            description: 'Comes back, without a word from the assistant.',
          },
        ],
        update: { actions: 'updateParticipant' },
      },
    },
    COMPLETE: {
      description: 'The conversation is over.',
      tags: 'completed',
      type: 'final',
    },
  },
});
