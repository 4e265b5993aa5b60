/**
 * Who looks at live actors, and what they are told: the truth, which is what has been committed.
 *
 * An actor that becomes live, spawned or restored, is introduced with its present state, and so are its children. From
 * then on the observer hears of each turn once it has committed: the events, then the states that they led to. A turn
 * that is undone is never heard of. An actor that is in the middle of a turn when somebody begins to look is introduced
 * after it.
 */
import type { AnyActorRef, AnyEventObject } from 'xstate';
import type { LiveActor, Turn } from '../actor/live-actor.ts';
import { machineConfigOf } from '../actor/logic.ts';
import { type Address, formatAddress } from '../errors.ts';
import { catchRejection, harmless } from '../thrown.ts';
import { Mask, plain } from './mask.ts';

/** An actor as observers see it. Its participant's id is masked unless asked for. */
export interface InspectedActor {
  /** Whose actor it is, or whose child. */
  readonly address: Address;
  /** Unique, and the same after a restart: `flow/participant`, and for a child `flow/participant/x:…:1`. */
  readonly sessionId: string;
  /** The child's id in its parent; the address for the actor itself. */
  readonly id: string;
  /** The child's name in `setup({ actors })`. */
  readonly src: string | undefined;
  /** The actor that it is a child of. */
  readonly _parent: InspectedActor | undefined;
  /** What `@statelyai/inspect` takes the machine and its name from. */
  readonly logic: { readonly config: object };
}

/** A committed state, as plain JSON. Of a child that is no machine: its status, and what it holds. */
export interface InspectedSnapshot {
  status: string;
  value?: unknown;
  context?: unknown;
  tags?: string[];
  output?: unknown;
  error?: unknown;
  children?: Record<string, { id: string }>;
  historyValue?: unknown;
  input?: unknown;
}

/** Told of live actors. What it throws, or rejects with, harms nobody, and is reported as the event `fault`. */
export interface InspectionObserver {
  /** An actor has become live, in this state; or it has been read again. */
  actor?(actor: InspectedActor, snapshot: InspectedSnapshot): void;
  /** An event was part of a turn that has committed. */
  event?(actor: InspectedActor, event: AnyEventObject, info: { source: InspectedActor | undefined }): void;
  /** An actor is in this state, committed, because of the event. */
  snapshot?(actor: InspectedActor, snapshot: InspectedSnapshot, info: { event: AnyEventObject }): void;
}

/** An inspector of `@statelyai/inspect`. */
export interface StatelyInspector {
  /** An actor has become live. */
  actor(actor: any, snapshot?: any): void;
  /** An event was part of a turn. */
  event(actor: any, event: any, info?: any): void;
  /** An actor is in this state. */
  snapshot(actor: any, snapshot: any, info?: any): void;
}

/** A part of a participant's data, on its way to an observer. */
export interface Inspected {
  what: 'participantId' | 'context' | 'event' | 'output' | 'error' | 'input';
  address: Address;
}

/** Whom an observer looks at, and how much it is shown. */
export interface InspectOptions {
  /** Only actors of this flow. */
  flow?: string | { type: string };
  /** Only this participant's actors. With a flow, the actor is read from its row if it is not in memory. */
  participantId?: string;
  /** Shows participants' data and ids as they are. Default: false. */
  unmasked?: boolean;
  /** Says itself what is shown of each part of a participant's data, in place of the mask; an event keeps its type. */
  sanitize?: (value: unknown, part: Inspected) => unknown;
}

export class Inspection {
  readonly #lookers = new Set<Looker>();
  readonly #fault: (error: unknown) => void;
  #mask = new Mask('');

  constructor(fault: (error: unknown) => void) {
    this.#fault = fault;
  }

  /** Marks are made with it; set before the first actor is live. */
  set key(key: string) {
    this.#mask = new Mask(key);
  }

  /** Nobody looks: nothing needs to be heard. */
  get idle(): boolean {
    return this.#lookers.size === 0;
  }

  /** Begins to tell; call the result to end it. */
  add(observer: InspectionObserver, options: InspectOptions): () => void {
    const looker = new Looker(observer, options, () => this.#mask, this.#fault);
    this.#lookers.add(looker);
    return () => this.#lookers.delete(looker);
  }

  /** The actor stands where its last commit left it: those who do not know it yet are told. */
  introduce({ address, live }: InMemory): void {
    if (live && !this.idle) this.#tell((looker) => looker.introduce(address, live));
  }

  /** A turn has committed. */
  committed({ address, live }: InMemory, turn: Turn): void {
    if (live && !this.idle) this.#tell((looker) => looker.committed(address, live, turn));
  }

  #tell(tell: (looker: Looker) => void): void {
    for (const looker of this.#lookers) harmless(() => tell(looker), this.#fault);
  }
}

/** An actor as the engine holds it. */
interface InMemory {
  address: Address;
  live: LiveActor | undefined;
}

/** What an observer was last told of an actor. */
interface Known {
  actor: InspectedActor;
  snapshot: object;
}

class Looker {
  readonly #observer: InspectionObserver;
  readonly #options: InspectOptions;
  readonly #flowType: string | undefined;
  readonly #mask: () => Mask;
  readonly #fault: (error: unknown) => void;
  readonly #known = new WeakMap<LiveActor, Map<AnyActorRef, Known>>();

  constructor(
    observer: InspectionObserver,
    options: InspectOptions,
    mask: () => Mask,
    fault: (error: unknown) => void,
  ) {
    const { flow } = options;
    this.#observer = observer;
    this.#options = options;
    this.#flowType = typeof flow === 'string' ? flow : flow?.type;
    this.#mask = mask;
    this.#fault = fault;
  }

  introduce(address: Address, live: LiveActor): void {
    if (!this.#wants(address) || this.#known.has(live)) return;
    const known = new Map<AnyActorRef, Known>();
    this.#known.set(live, known);
    this.#settle(address, live, known, { type: 'xstate.init' });
  }

  committed(address: Address, live: LiveActor, turn: Turn): void {
    const known = this.#known.get(live);
    if (!known) {
      this.introduce(address, live);
      return;
    }
    const event = turn.event ?? { type: '' };
    const heard = turn.heard ?? [];
    if (!heard.some(({ kind }) => kind === 'event')) this.#event(address, known, live.root, undefined, event);
    for (const each of heard) {
      if (each.kind === 'event') this.#event(address, known, each.ref, each.source, each.event);
      else this.#snapshot(address, known, each.ref, each.snapshot, each.event);
    }
    this.#settle(address, live, known, event);
  }

  #wants({ flowType, participantId }: Address): boolean {
    if (this.#flowType !== undefined && this.#flowType !== flowType) return false;
    return this.#options.participantId === undefined || this.#options.participantId === participantId;
  }

  /** Tells what is new: children that were born, states that nobody told of, children that are gone. */
  #settle(address: Address, live: LiveActor, known: Map<AnyActorRef, Known>, event: AnyEventObject): void {
    const present = new Set<AnyActorRef>();
    const look = (ref: AnyActorRef): void => {
      present.add(ref);
      const snapshot = ref.getSnapshot() as { children?: Record<string, AnyActorRef | undefined> };
      if (known.get(ref)?.snapshot !== snapshot) this.#snapshot(address, known, ref, snapshot, event);
      for (const child of Object.values(snapshot?.children ?? {})) if (child) look(child);
    };
    look(live.root);
    for (const [ref, { snapshot }] of known) {
      if (present.has(ref)) continue;
      const now = ref.getSnapshot() as { status: string };
      if ((snapshot as { status?: string }).status === 'active')
        this.#snapshot(address, known, ref, now.status === 'active' ? { ...now, status: 'stopped' } : now, event);
      known.delete(ref);
    }
  }

  #event(
    address: Address,
    known: Map<AnyActorRef, Known>,
    ref: AnyActorRef,
    source: AnyActorRef | undefined,
    event: AnyEventObject,
  ): void {
    if (!ref.getSnapshot()) return; // on its way into the world
    const from = source && (known.get(source)?.actor ?? this.#actor(address, source));
    const { actor } = this.#meet(address, known, ref);
    catchRejection(this.#observer.event?.(actor, this.#shownEvent(address, event), { source: from }), this.#fault);
  }

  #snapshot(
    address: Address,
    known: Map<AnyActorRef, Known>,
    ref: AnyActorRef,
    snapshot: object,
    event: AnyEventObject,
  ): void {
    const it = this.#meet(address, known, ref, snapshot);
    it.snapshot = snapshot;
    const about = { event: this.#shownEvent(address, event) };
    catchRejection(this.#observer.snapshot?.(it.actor, this.#shown(address, snapshot), about), this.#fault);
  }

  /** An actor that is known from now on. */
  #meet(address: Address, known: Map<AnyActorRef, Known>, ref: AnyActorRef, snapshot = ref.getSnapshot()): Known {
    let it = known.get(ref);
    if (!it) {
      it = { actor: this.#actor(address, ref), snapshot };
      known.set(ref, it);
      catchRejection(this.#observer.actor?.(it.actor, this.#shown(address, snapshot)), this.#fault);
    }
    return it;
  }

  #actor(address: Address, ref: AnyActorRef): InspectedActor {
    const shown = this.#shownAddress(address);
    const parent = ref._parent && this.#actor(address, ref._parent);
    const root = formatAddress(shown);
    const { src } = ref as { src?: unknown };
    const id = parent ? this.#name(ref.id, address) : root;
    const name = parent ? `${root}/${id}` : root;
    const machine = machineConfigOf(ref as { logic?: unknown }) ?? { id: name };
    return {
      address: shown,
      sessionId: parent ? `${root}/${ref.sessionId}` : root,
      id,
      src: parent && typeof src === 'string' ? src : undefined,
      _parent: parent,
      // Its id is what inspectors call the actor; what they make of the whole is the machine, which keeps its own.
      logic: { config: { id: name, toJSON: () => machine } },
    };
  }

  #shown(address: Address, snapshot: object): InspectedSnapshot {
    const { status, value, context, tags, output, error, children, historyValue, input } = snapshot as Record<
      string,
      any
    >;
    const part = (name: Inspected['what'], data: unknown) =>
      data === undefined ? {} : { [name]: this.#part(data, name, address) };
    return {
      status,
      ...(value !== undefined && { value }),
      ...part('context', context),
      ...(tags && { tags: [...tags] }),
      ...part('output', output),
      ...part('error', error),
      ...part('input', input),
      ...(children && {
        children: Object.fromEntries(
          Object.entries<any>(children).map(([key, child]) => [
            this.#name(key, address),
            { id: `${formatAddress(this.#shownAddress(address))}/${child?.sessionId}` },
          ]),
        ),
      }),
      ...(historyValue && {
        historyValue: Object.fromEntries(
          Object.entries<any>(historyValue).map(([key, nodes]) => [
            key,
            nodes.map(({ id }: { id: string }) => ({ id })),
          ]),
        ),
      }),
    };
  }

  #shownAddress(address: Address): Address {
    const { flowType, participantId } = address;
    return { flowType, participantId: String(this.#part(participantId, 'participantId', address)) };
  }

  #shownEvent(address: Address, event: AnyEventObject): AnyEventObject {
    const shown = this.#part(event, 'event', address);
    const data = typeof shown === 'object' && shown !== null ? shown : {};
    return { ...data, type: this.#name(event.type, address) };
  }

  #name(name: string, address: Address): string {
    return this.#options.unmasked ? name : this.#mask().name(name, address);
  }

  #part(value: unknown, what: Inspected['what'], address: Address): unknown {
    const { sanitize, unmasked } = this.#options;
    if (sanitize) return plain(sanitize(value, { what, address }));
    if (unmasked) return plain(value);
    return what === 'participantId' ? this.#mask().person(String(value)) : this.#mask().value(value, address);
  }
}
