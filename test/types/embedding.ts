/**
 * What the types promise to those who embed the runtime. Nothing here runs: `npm run types` compiles it, and fails where a
 * wrong use compiles (the directive above it is then unused) or a type is another one.
 */
import { fromStore } from '@xstate/store';
import { expectTypeOf } from 'vitest';
import { assign, emit, fromTransition, setup } from 'xstate';
import {
  type Address,
  createRuntime,
  defineFlow,
  type EmittedOf,
  type EventOf,
  type Runtime,
} from '../../src/index.ts';

const appointmentMachine = setup({
  types: {
    context: {} as { name: string; replies: number },
    input: {} as { name: string },
    events: {} as { type: 'reply'; text: string } | { type: 'cancel' },
    emitted: {} as { type: 'message'; text: string } | { type: 'metric'; value: number },
    tags: {} as 'asking',
  },
}).createMachine({
  context: ({ input }) => ({ name: input.name, replies: 0 }),
  initial: 'asking',
  states: {
    asking: {
      tags: 'asking',
      entry: emit(({ context }) => ({ type: 'message', text: `Are you coming, ${context.name}?` })),
      on: {
        reply: { target: 'confirmed', actions: assign({ replies: ({ context }) => context.replies + 1 }) },
        cancel: 'cancelled',
      },
    },
    confirmed: {},
    cancelled: {},
  },
});

const appointment = defineFlow({
  type: 'appointment',
  version: 2,
  logic: appointmentMachine,
  receive: ({ message, snapshot }) => {
    expectTypeOf(snapshot.context.replies).toBeNumber();
    return message.text === 'no' ? { type: 'cancel' } : { type: 'reply', text: message.text };
  },
  record: (emitted, { participantId }) =>
    emitted.type === 'metric' ? { table: 'metrics', row: { participantId, value: emitted.value } } : null,
  migrate: { 1: (persisted) => persisted },
});

const counter = defineFlow({
  type: 'counter',
  version: 1,
  logic: fromTransition((count: number, event: { type: 'add'; by: number }) => count + event.by, 0),
  receive: () => null,
});

const cart = defineFlow({
  type: 'cart',
  version: 1,
  logic: fromStore({
    context: { items: 0, last: '' },
    on: { add: (context, event: { item: string }) => ({ items: context.items + 1, last: event.item }) },
  }),
  receive: ({ message }) => ({ type: 'add', item: message.text }),
});

export async function machines(runtime: Runtime) {
  const actor = await runtime.spawn(appointment, 'p_1', { input: { name: 'Ada' }, phoneNumber: '+15551234567' });
  // @ts-expect-error the machine needs its input
  await runtime.spawn(appointment, 'p_1');
  // @ts-expect-error the machine needs its input
  await runtime.spawn(appointment, 'p_1', {});
  // @ts-expect-error the name is a text
  await runtime.spawn(appointment, 'p_1', { input: { name: 1 } });

  const ensured = await runtime.ensure(appointment, 'p_1', { input: { name: 'Ada' }, phoneNumber: '+15551234567' });
  expectTypeOf(ensured.created).toBeBoolean();
  expectTypeOf(ensured.tookNumberFrom).toEqualTypeOf<Address | undefined>();
  await ensured.send({ type: 'reply', text: 'yes' });
  // @ts-expect-error wrong through what ensure gives, too
  await ensured.send({ type: 'replied' });
  // @ts-expect-error the machine needs its input, if there is no actor yet
  await runtime.ensure(appointment, 'p_1');
  // @ts-expect-error the name is a text
  await runtime.ensure(appointment, 'p_1', { input: { name: 1 } });

  const snapshot = await actor.send({ type: 'reply', text: 'yes' });
  expectTypeOf(snapshot.handled).toBeBoolean();
  expectTypeOf(snapshot.context).toEqualTypeOf<{ name: string; replies: number }>();
  expectTypeOf(snapshot.value).toEqualTypeOf<'asking' | 'confirmed' | 'cancelled'>();
  // @ts-expect-error there is no such event
  await actor.send({ type: 'replied', text: 'yes' });
  // @ts-expect-error the text is missing
  await actor.send({ type: 'reply' });
  // @ts-expect-error the context has no such key
  snapshot.context.nickname;

  await actor.waitFor((s) => s.matches('confirmed') || s.hasTag('asking'), { timeout: '5s' });
  // @ts-expect-error there is no such state
  await actor.waitFor((s) => s.matches('confirm'));
  // @ts-expect-error there is no such tag
  await actor.waitFor((s) => s.hasTag('askin'));
  // @ts-expect-error that is no duration
  await actor.waitFor(() => true, { timeout: 'soon' });
  type Confirmed = typeof snapshot & { value: 'confirmed' };
  const confirmed = await actor.waitFor((s): s is Confirmed => s.matches('confirmed'));
  expectTypeOf(confirmed.value).toEqualTypeOf<'confirmed'>();

  actor.on('message', (emitted) => expectTypeOf(emitted).toEqualTypeOf<{ type: 'message'; text: string }>());
  actor.on('*', (emitted) => expectTypeOf(emitted).toEqualTypeOf<EmittedOf<typeof appointment>>());
  // @ts-expect-error it emits no such event
  actor.on('massage', () => {});
  // @ts-expect-error a metric has no text
  actor.on('metric', (emitted) => emitted.text);
  actor.subscribe((s) => expectTypeOf(s.context.replies).toBeNumber());
  expectTypeOf<EventOf<typeof appointment>['type']>().toEqualTypeOf<'reply' | 'cancel'>();
}

export async function otherLogic(runtime: Runtime) {
  const count = await runtime.spawn(counter, 'c_1');
  expectTypeOf((await count.send({ type: 'add', by: 1 })).context).toBeNumber();
  // @ts-expect-error by how much?
  await count.send({ type: 'add' });

  const shopping = await runtime.spawn(cart, 's_1');
  expectTypeOf((await shopping.send({ type: 'add', item: 'tea' })).context.last).toBeString();
  // @ts-expect-error a store knows its events too
  await shopping.send({ type: 'remove', item: 'tea' });
}

export async function byHandle(runtime: Runtime) {
  await runtime.actor(appointment, 'p_1').send({ type: 'cancel' });
  // @ts-expect-error wrong through a handle, too
  await runtime.actor(appointment, 'p_1').send({ type: 'cancelled' });
  // Whatever flow has that name: its events are not known here.
  await runtime.actor('appointment', 'p_1').send({ type: 'anything' });
}

export async function transactions(runtime: Runtime) {
  const told = await runtime.transaction(async (trx) => {
    await trx('orders').insert({ id: 1 });
    const actor = await trx.spawn(appointment, 'p_1', { input: { name: 'Ada' } });
    // @ts-expect-error the machine needs its input
    await trx.spawn(appointment, 'p_2');
    const { created } = await trx.ensure(appointment, 'p_3', { input: { name: 'Ada' } });
    expectTypeOf(created).toBeBoolean();
    // @ts-expect-error the machine needs its input
    await trx.ensure(appointment, 'p_3');
    // @ts-expect-error there is no such event
    await trx.actor(appointment, 'p_1').send({ type: 'replied' });
    // @ts-expect-error nobody can wait in a transaction
    actor.waitFor(() => true);
    return (await actor.getSnapshot()).context.name;
  });
  expectTypeOf(told).toBeString();
  // @ts-expect-error a transaction is a function
  await runtime.transaction(Promise.resolve());
}

export function flows() {
  defineFlow({
    type: 'appointment',
    version: 1,
    logic: appointmentMachine,
    // @ts-expect-error the machine knows no such event
    receive: ({ message }) => ({ type: 'replied', text: message.text }),
  });
  defineFlow({
    type: 'appointment',
    version: 1,
    logic: appointmentMachine,
    // @ts-expect-error the machine emits nothing of that type
    note: (emitted) => (emitted.type === 'remark' ? 'a remark' : null),
  });
  defineFlow({
    type: 'appointment',
    version: 1,
    logic: appointmentMachine,
    // @ts-expect-error there is no such strategy
    supervision: { strategy: 'resurrect' },
  });
  // @ts-expect-error a version is a number
  defineFlow({ type: 'appointment', version: '1', logic: appointmentMachine });
  // @ts-expect-error a runtime needs a database
  createRuntime({ flows: [appointment] });
}

export function hooks(runtime: Runtime) {
  runtime.on('turn', ({ address, event, ended, lateness }) => {
    expectTypeOf(ended).toEqualTypeOf<'done' | 'error' | 'stopped' | undefined>();
    expectTypeOf(address.participantId).toBeString();
    expectTypeOf(event).toBeString();
    expectTypeOf(lateness).toEqualTypeOf<number | undefined>();
  });
  // @ts-expect-error there is no such event
  runtime.on('turned', () => {});
  // @ts-expect-error a turn has no recipient
  runtime.on('turn', ({ recipient }) => recipient);
}
