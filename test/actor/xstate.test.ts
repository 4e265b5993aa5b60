/** What becomes of a flow under an XState in which something that is taken hold of is missing. */
import { afterEach, expect, it, vi } from 'vitest';
import { createMachine } from 'xstate';
import { defineFlow } from '../../src/index.ts';

/** Takes it from an actor that is being born. */
let take: ((actor: any) => unknown) | undefined;
afterEach(() => {
  take = undefined;
});

vi.mock('xstate', async (original) => {
  const xstate = await original<typeof import('xstate')>();
  const createActor = (logic: never, options: any) =>
    xstate.createActor(logic, {
      ...options,
      inspect: (event) => {
        options.inspect(event);
        if (event.type === '@xstate.actor') take?.(event.actorRef);
      },
    });
  return { ...xstate, createActor };
});

const define = () => defineFlow({ type: 'waiting', version: 1, logic: createMachine({}) });

it.each<[string, (actor: any) => unknown]>([
  ['system.scheduler', ({ system }) => delete system.scheduler],
  ['system._relay', ({ system }) => delete system._relay],
  ['system._bookId', ({ system }) => delete system._bookId],
  ['_actorScope.actionExecutor', ({ _actorScope }) => delete _actorScope.actionExecutor],
])('a flow cannot be defined without %s', (name, taken) => {
  take = taken;
  expect(define).toThrow(`XState that is installed has no '${name}'`);
  take = undefined;
  expect(define()).toMatchObject({ type: 'waiting' });
});
