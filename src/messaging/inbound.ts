/**
 * The way in for messages from people. In this order: the words that every flow knows (STOP, START, HELP); the handler
 * bound to the sender; auto-enrolment; a default reply. Whatever the way, the mark that makes a redelivery harmless is
 * written in the same transaction as the message's effect, and `receive` resolves only after that.
 */
import { hash, randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { LRUCache, upTo } from '../cache.ts';
import { type Clock, formatInstant } from '../clock.ts';
import type { Done, Work } from '../engine/cell.ts';
import type { Engine, Turns } from '../engine/engine.ts';
import { takesNoEvents } from '../engine/refusal.ts';
import {
  ActorNotFoundError,
  type Address,
  formatAddress,
  InvalidArgumentError,
  InvalidMessageError,
} from '../errors.ts';
import { type AnyFlow, eventFor, type InboundMessage, replyOf } from '../flow/flow.ts';
import type { Keyword } from '../flow/keyword-rules.ts';
import type { Change } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { TransactionTurns } from '../transaction/turns.ts';
import { isWellFormed } from '../well-formed.ts';
import { formsOf, lineOf, normalizeAddress } from './address.ts';
import { type Binding, type Handler, Handlers } from './handlers.ts';
import type { Keywords, SaidWord, Texts } from './keywords.ts';
import type { CountryCode } from './phone-numbers.ts';

/**
 * What became of an inbound message. `applied`: the flow had a transition for it. `ignored`: it had none. `duplicate`: the
 * message was applied before. `failed`: the flow threw; the event is a dead letter, the sender was told. `unrouted`: nobody
 * knows the sender. `stopped`, `started`, `helped`: one of the words that every flow knows.
 */
export interface Receipt {
  status: 'applied' | 'ignored' | 'duplicate' | 'failed' | 'unrouted' | 'stopped' | 'started' | 'helped';
  handled: boolean;
  /** The actor that got the message. */
  address?: Address;
  /** Its snapshot after the message. */
  snapshot?: any;
  /** Of one that is `unrouted`: why, for developers. It names the actor that the sender's number led to before. */
  reason?: string;
}

/** A message to a person that no flow has emitted. */
export interface DirectMessage {
  /** A phone number in any usual form, or another address of a channel. */
  to: string;
  text: string;
  /** The sender's own id of the message. Default: a new one. */
  id?: string;
}

export interface InboundOptions {
  engine: Engine;
  store: Store;
  clock: Clock;
  flows: ReadonlyMap<string, AnyFlow>;
  texts: Texts;
  keywords: Keywords;
  defaultCountry: CountryCode | undefined;
  /** How many actors stay in memory; addresses are small, so that some more of them do. */
  cacheSize: number;
  /** Enrols an unknown sender, or answers null. */
  autoEnroll: ((message: InboundMessage, address: string) => Promise<Address | null>) | undefined;
}

/** Channels of the runtime's own marks, e.g. of events between actors: nobody outside may take their ids. */
const OWN_CHANNEL = /^perdure(\.|$)/i;

const HOUR = 3_600_000;
/** After the database could not be read, in ms. */
const LOOK_UP_AGAIN = 1_000;

export class Inbound {
  readonly #options: InboundOptions;
  readonly #turns: Turns;
  readonly #store: Store;
  /** Of a way in within a transaction: the one of the runtime, and what is told to it after the commit. */
  readonly #within: { inbound: Inbound; after: (effect: () => void) => void; over: Promise<void> } | undefined;
  readonly handlers: Handlers;
  readonly #optedOut = new Map<string, boolean>();
  /** Whose STOP or START is being committed. */
  readonly #obeying = new Map<string, Promise<void>>();
  /** Parsing a number costs more than the rest of the way in. */
  readonly #senders: LRUCache<string, string>;
  readonly #lastDefaultReply: LRUCache<string, number>;

  constructor(options: InboundOptions, within?: { inbound: Inbound; turns: TransactionTurns }) {
    this.#options = options;
    this.#turns = within?.turns ?? options.engine;
    this.#store = within?.turns.store ?? options.store;
    this.#within = within && { inbound: within.inbound, after: within.turns.after, over: within.turns.over };
    const { cacheSize } = options;
    this.#senders = within ? within.inbound.#senders : new LRUCache(upTo(5 * cacheSize));
    this.#lastDefaultReply = new LRUCache(upTo(cacheSize));
    this.handlers = new Handlers(this.#store, 5 * cacheSize);
    if (within) return;
    options.engine.commits.onActivity = (phoneNumber, address, ended) =>
      this.handlers.touch(phoneNumber, address, ended);
  }

  async start(): Promise<void> {
    for (const address of await this.#store.optOuts()) this.#setOptedOut(address, true);
  }

  /** The way in within a transaction: what it learns, the runtime learns after the commit. */
  within(turns: TransactionTurns): Inbound {
    return new Inbound(this.#options, { inbound: this, turns });
  }

  /** The address was bound anew, or to nobody. */
  forget(address: string): void {
    this.handlers.forget(address);
    this.#within?.after(() => this.#within?.inbound.forget(address));
  }

  /** See {@link Handlers.take}. */
  async take(...asked: Parameters<Handlers['take']>): ReturnType<Handlers['take']> {
    try {
      return await this.handlers.take(...asked);
    } finally {
      this.forget(asked[0]);
    }
  }

  async receive(message: InboundMessage): Promise<Receipt> {
    const sender = this.#validate(message);
    const word = this.#options.keywords.find(message);
    const keyword = word && !word.inFlows && this.#meant(word, sender);
    if (keyword) return this.#obey(keyword, message, sender);
    const now = this.#options.clock.now();
    const known = this.handlers.of(sender);
    const bound = known instanceof Promise ? await known : known;
    const handler = bound.find(({ expiresAt, flowType }) => expiresAt > now && this.#options.flows.has(flowType));
    const inFlow = word?.inFlows && this.#meant(word, sender, handler?.flowType);
    if (inFlow) return this.#obey(inFlow, message, sender);
    const address: Address | null = handler ?? (await this.#options.autoEnroll?.(message, sender)) ?? null;
    return address ? this.#deliver(address, message, sender) : this.#unrouted(message, sender, bound);
  }

  /**
   * Binds an address to an actor, as long as it runs; `ttl`: for so many ms from now, where it has ended. False: another
   * participant of the flow, who has not ended, has it.
   * @throws {ActorNotFoundError | InvalidPhoneNumberError}
   * @throws {InvalidArgumentError} `ttl` is no time
   */
  async bind({ phoneNumber, ...binding }: Binding): Promise<boolean> {
    const { clock, defaultCountry } = this.#options;
    const { flowType, participantId } = binding;
    const address = { flowType, participantId };
    if (!(binding.ttl > 0 && Number.isSafeInteger(Math.ceil(clock.now() + binding.ttl)))) {
      throw new InvalidArgumentError(
        `The handler of ${formatAddress(address)} needs a ttl in ms, longer than 0; it has ${inspect(binding.ttl)}.`,
        { address },
      );
    }
    const number = normalizeAddress(phoneNumber, defaultCountry, 'channel');
    const [row] = await this.#store.load([address]);
    if (!row) throw new ActorNotFoundError(address);
    return this.handlers.bind({ ...binding, phoneNumber: number }, clock.now());
  }

  /** Applies a message to an actor, whoever the sender is bound to. */
  async deliver(address: Address, message: InboundMessage): Promise<Receipt> {
    const sender = this.#validate(message);
    const word = this.#options.keywords.find(message);
    const keyword = word && this.#meant(word, sender, address.flowType);
    return keyword ? this.#obey(keyword, message, sender) : this.#deliver(address, message, sender);
  }

  /** Sends a message that no flow has emitted. */
  async sendTo({
    to,
    text,
    id = randomUUID(),
  }: DirectMessage): Promise<{ status: 'accepted' | 'duplicate'; to: string }> {
    const { clock, flows, defaultCountry } = this.#options;
    const [turns, store] = [this.#turns, this.#store];
    if (typeof text !== 'string' || text.trim() === '') throw new InvalidArgumentError('The message has no text.');
    if (typeof id !== 'string' || id === '') throw new InvalidArgumentError("The message's id must be a text.");
    const recipient = normalizeAddress(to, defaultCountry, 'channel');
    if (this.#hasOptedOut(recipient)) {
      throw new InvalidArgumentError(
        `${recipient} asked not to be written to (STOP). They come back by writing START.`,
      );
    }
    const payload = { type: 'message', text };
    const mark = { channel: 'perdure.send', messageId: id, scope: scopeOf(recipient), text: null };
    const at = clock.now();
    const bound = await this.handlers.of(recipient);
    const handler = bound.find(({ flowType, running }) => running && flows.has(flowType));
    if (handler) {
      const { flowType, participantId } = handler;
      const done = await turns.post(
        { flowType, participantId },
        {
          stimulus: { kind: 'event', event: { type: 'perdure.direct' } },
          prepare: () => null, // the logic does not see it
          notices: [{ recipient, payload }],
          inbound: mark,
        },
      );
      return { status: done.duplicate ? 'duplicate' : 'accepted', to: recipient };
    }
    const outcome = await turns.write({
      inbound: {
        id: store.nextId('inbox'),
        channel: mark.channel,
        message_id: id,
        scope: mark.scope,
        applied_at: at,
        sender: null,
        text: null,
      },
      outbox: [turns.composer.message(null, keyOf('send', id, mark.scope, at), recipient, payload, at)],
    });
    if (outcome.result === 'failed') throw outcome.error;
    return { status: outcome.result === 'duplicate' ? 'duplicate' : 'accepted', to: recipient };
  }

  /** What a word means of this sender, whose messages go to an actor of this flow. START is one of who has opted out. */
  #meant({ keyword: anywhere, inFlows }: SaidWord, sender: string, flowType?: string): Keyword | undefined {
    const keyword = flowType !== undefined && inFlows?.has(flowType) ? inFlows.get(flowType) : anywhere;
    return keyword === 'start' && !this.#hasOptedOut(sender) ? undefined : keyword;
  }

  #validate(message: InboundMessage): string {
    for (const field of ['channel', 'id', 'from'] as const) {
      if (typeof message?.[field] !== 'string' || message[field].trim() === '') {
        throw new InvalidMessageError(
          `The message has no ${field}. A message needs channel, id, from and text; (channel, id) is what keeps it from being applied twice.`,
        );
      }
    }
    const broken = (['channel', 'id', 'from', 'text'] as const).find((field) => !isWellFormed(String(message[field])));
    if (broken)
      throw new InvalidMessageError(
        `The message's ${broken} has half of a surrogate pair in it, which cannot be stored. Give the whole text, or one without that.`,
      );
    if (OWN_CHANNEL.test(message.channel.trim()))
      throw new InvalidMessageError(
        `The channel '${message.channel}' is the runtime's own. Name the channel that the message came by, e.g. 'sms'.`,
      );
    if (typeof message.text !== 'string')
      throw new InvalidMessageError('The message has no text. Send an empty text if it has none.');
    // WhatsApp gives full numbers in digits alone, also to who has set a default country.
    const from = message.channel === 'whatsapp' ? message.from.replace(/^(?=\d+$)/, 'whatsapp:') : message.from;
    let sender = this.#senders.get(from);
    if (sender === undefined) {
      sender = normalizeAddress(from, this.#options.defaultCountry, 'channel');
      this.#senders.set(from, sender);
    }
    return sender;
  }

  async #deliver({ flowType, participantId }: Address, message: InboundMessage, sender: string): Promise<Receipt> {
    const address = { flowType, participantId };
    const { clock, texts } = this.#options;
    const done = await this.#turns.post(address, {
      stimulus: { kind: 'event', event: replyOf(message) },
      prepare: (snapshot, flow) => eventFor(flow, message, snapshot),
      inbound: markOf(message, scopeOf(sender)),
      onFailure: (error) => ({
        deadLetter: {
          participant_id: participantId,
          flow_type: flowType,
          kind: 'message',
          target: null,
          event: JSON.stringify({ channel: message.channel, id: message.id, from: message.from, text: message.text }),
          error: error.message,
          at: clock.now(),
        },
        notices: [{ recipient: sender, payload: { type: 'message', text: texts.problem } }],
      }),
    });
    return { ...receiptOf(done), address };
  }

  async #unrouted(message: InboundMessage, sender: string, bound: readonly Handler[]): Promise<Receipt> {
    const due = await this.#defaultReplyIsDue(sender);
    const receipt = await this.#answer(message, sender, due ? this.#options.texts.unknown : undefined, 'unrouted');
    return receipt.status === 'unrouted' ? { ...receipt, reason: this.#whyUnrouted(sender, bound) } : receipt;
  }

  #whyUnrouted(sender: string, [last]: readonly Handler[]): string {
    if (!last) return `No actor has the number ${sender}.`;
    if (!this.#options.flows.has(last.flowType))
      return `${sender} leads to ${formatAddress(last)}, whose flow this runtime does not have.`;
    return `${sender} led to ${formatAddress(last)} until ${formatInstant(last.expiresAt)}: the actor has ended.`;
  }

  async #defaultReplyIsDue(sender: string): Promise<boolean> {
    if (this.#hasOptedOut(sender)) return false;
    const now = this.#options.clock.now();
    let last = this.#lastDefaultReply.get(lineOf(sender));
    last ??= await this.#store.lastAnswer(formsOf(sender));
    if (now - last < HOUR) return false;
    this.#lastDefaultReply.set(lineOf(sender), now);
    const { inbound, after } = this.#within ?? {};
    if (inbound) after?.(() => void inbound.#lastDefaultReply.set(lineOf(sender), now));
    return true;
  }

  /**
   * Obeys one word of a person after the other. Nobody is written to who is just opting out; nor as long as it is not known
   * whether that was committed, or what a later word has made of it.
   */
  #obey(keyword: Keyword, message: InboundMessage, sender: string): Promise<Receipt> {
    if (keyword === 'help') return this.#keyword(keyword, message, sender);
    if (this.#within) {
      // Later words wait for the end of the transaction, and so does what is to be sent.
      const { inbound, over } = this.#within;
      inbound.#decide(
        sender,
        over.then(() => inbound.#lookUp(sender)),
      );
      return this.#keyword(keyword, message, sender);
    }
    const obeyed = (this.#obeying.get(lineOf(sender)) ?? Promise.resolve()).then(() =>
      this.#keyword(keyword, message, sender),
    );
    const settled = this.#decide(
      sender,
      obeyed.then(
        ({ status }) => (status === 'duplicate' ? this.#lookUp(sender) : undefined),
        () => this.#lookUp(sender),
      ),
    );
    return settled.then(() => obeyed);
  }

  /** Until that is settled, later words of the person wait, and nothing is sent to them. */
  #decide(sender: string, decision: Promise<void>): Promise<void> {
    const settled = Promise.all([this.#obeying.get(lineOf(sender)), decision]).then(() => {
      if (this.#obeying.get(lineOf(sender)) === settled) this.#obeying.delete(lineOf(sender));
    });
    this.#obeying.set(lineOf(sender), settled);
    for (const form of formsOf(sender)) this.#options.engine.outbox.hold(form, settled);
    return settled;
  }

  /** Asks the database whether somebody has opted out, until it answers. */
  async #lookUp(address: string): Promise<void> {
    const { engine, store } = this.#options;
    while (engine.running) {
      try {
        this.#setOptedOut(address, await store.hasOptedOut(formsOf(address)));
        return;
      } catch {
        await engine.pause(LOOK_UP_AGAIN);
      }
    }
  }

  async #keyword(keyword: Keyword, message: InboundMessage, sender: string): Promise<Receipt> {
    if (keyword === 'help') return this.#answer(message, sender, this.#options.texts.help, 'helped');
    const out = keyword === 'stop';
    const status = out ? 'stopped' : 'started';
    // Confirmed once: a second STOP gets no answer.
    const confirm = !out || !this.#hasOptedOut(sender);
    const text = confirm ? this.#options.texts[status] : undefined;
    const also = [this.#optOut(sender, out, message)];
    // Each actor's turn has a mark of its own; after a crash between two, the redelivery goes on where it stopped.
    let first: Pick<Done, 'duplicate'> | undefined;
    const told = new Set<string>();
    const tell = async (handlers: readonly Address[]) => {
      for (const { flowType, participantId } of handlers) {
        const events = this.#options.flows.get(flowType)?.optOut;
        const address = { flowType, participantId };
        if (!events || told.has(formatAddress(address))) continue;
        told.add(formatAddress(address));
        const work: Work = {
          stimulus: { kind: 'event', event: out ? events.withdraw : events.rejoin },
          prepare: (_, { optOut }) => (out ? optOut?.withdraw : optOut?.rejoin) ?? null,
          inbound: markOf(message, scopeOf(sender, first && `#${flowType}`)),
          ...(!first && { also, ...(text && { notices: [{ recipient: sender, payload: essential(text) }] }) }),
        };
        try {
          const done = await this.#turns.post(address, work);
          first ??= done;
        } catch (error) {
          if (!takesNoEvents(error)) throw error; // the wish is heeded, whatever became of the actor
        }
      }
    };
    await tell(await this.handlers.of(sender));
    first ??= { duplicate: (await this.#answer(message, sender, text, status, also)).status === 'duplicate' };
    // Somebody may have been enrolled with this number before the wish was committed.
    this.handlers.forget(sender);
    await tell(await this.handlers.of(sender));
    if (first.duplicate) return { status: 'duplicate', handled: false };
    this.#setOptedOut(sender, out);
    return { status, handled: true };
  }

  /** Keeps the opt-out and cancels what is waiting to be sent, in the transaction of the turn. */
  #optOut(address: string, out: boolean, { channel, text }: InboundMessage): Change {
    const forms = formsOf(address);
    if (!out) return { kind: 'optIn', forms };
    const source = `${channel}: ${text}`;
    return { kind: 'optOut', forms, address, source, at: this.#options.clock.now() };
  }

  async #answer(
    message: InboundMessage,
    sender: string,
    text: string | undefined,
    status: Receipt['status'],
    also?: readonly Change[],
  ): Promise<Receipt> {
    const { clock } = this.#options;
    const turns = this.#turns;
    const { channel, id } = message;
    const scope = scopeOf(sender);
    const at = clock.now();
    const outcome = await turns.write({
      inbound: {
        id: this.#store.nextId('inbox'),
        channel,
        message_id: id,
        scope,
        applied_at: at,
        sender,
        text: message.text,
      },
      ...(text && {
        outbox: [turns.composer.message(null, keyOf(channel, id, scope, at), sender, essential(text), at)],
      }),
      ...(also && { also }),
    });
    if (outcome.result === 'failed') throw outcome.error;
    return outcome.result === 'duplicate'
      ? { status: 'duplicate', handled: false }
      : { status, handled: status !== 'unrouted' };
  }

  #setOptedOut(address: string, out: boolean): void {
    if (out || this.#within) this.#optedOut.set(lineOf(address), out);
    else this.#optedOut.delete(lineOf(address));
    const { inbound, after } = this.#within ?? {};
    if (inbound) after?.(() => inbound.#setOptedOut(address, out));
    else for (const form of formsOf(address)) this.#options.engine.outbox.optOut(form, out);
  }

  #hasOptedOut(address: string): boolean {
    const known = this.#optedOut.get(lineOf(address));
    if (known !== undefined || !this.#within) return known ?? false;
    return this.#within.inbound.#hasOptedOut(address);
  }
}

/**
 * Tells a sender's message ids from those of others, for in some channels they count within a chat. A digest, since the mark
 * of a message outlives what else is kept of its sender.
 */
const scopeOf = (address: string, flowType = '') =>
  hash('sha256', lineOf(address) + flowType, 'base64url').slice(0, 16);

const markOf = ({ channel, id, text }: InboundMessage, scope: string) => ({ channel, messageId: id, scope, text });

/** The idempotency key of a message that no actor sends. The instant tells it from one of the same id whose mark was pruned. */
const keyOf = (channel: string, id: string, scope: string, at: number) =>
  `${channel}:${id}:${scope}:${at.toString(36)}`;

/** A message that goes out even to who opted out: the confirmation of STOP, and the answer to HELP. */
const essential = (text: string) => ({ type: 'message', text, essential: true });

function receiptOf({ handled, duplicate, failed, snapshot }: Done): Receipt {
  if (duplicate) return { status: 'duplicate', handled: false };
  if (failed) return { status: 'failed', handled: false };
  return { status: handled ? 'applied' : 'ignored', handled, snapshot };
}
