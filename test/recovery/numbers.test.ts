/** Whose message is it, where several claim the number that it came from. */
import { afterEach, describe, expect, it } from 'vitest';
import { assign, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const flowOf = (type: string) =>
  defineFlow({
    type,
    version: 1,
    logic: setup({
      types: { context: {} as { heard: string[] }, events: {} as { type: 'reply'; text: string } | { type: 'poke' } },
    }).createMachine({
      context: { heard: [] },
      on: {
        reply: { actions: assign({ heard: ({ context, event }) => [...context.heard, event.text] }) },
        poke: { actions: assign({}) },
      },
    }),
  });
const [visits, surveys] = [flowOf('visits'), flowOf('surveys')];
const phoneNumber = '+15552000001';

let test: TestRuntime;
afterEach(() => test.stop());
let id = 0;
const write = async (text: string) =>
  (await test.receive({ channel: 'sms', id: `SM${++id}`, from: phoneNumber, text })).address?.participantId;
const restart = async () => {
  await test.crash();
  await test.restart();
};

describe('a number that several claim', () => {
  it('of two flows, belongs to the one whose actor made the last turn, over a restart too', async () => {
    test = await createTestRuntime({ flows: [visits, surveys] });
    const ada = await test.spawn(visits, 'ada', { phoneNumber });
    await test.advance('1m');
    const bob = await test.spawn(surveys, 'bob', { phoneNumber });
    await test.advance('1m');
    expect(await write('1')).toBe('bob');
    await test.advance('1m');
    await ada.send({ type: 'poke' });
    await test.advance('1m');
    expect(await write('2')).toBe('ada');
    await restart();
    await test.advance('1m');
    expect(await write('3')).toBe('ada');
    await test.actor(surveys, 'bob').send({ type: 'poke' });
    await restart();
    expect(await write('4')).toBe('bob');
    expect((await test.actor(surveys, 'bob').getSnapshot()).context.heard).toEqual(['1', '4']);
    expect(bob.address.flowType).toBe('surveys');
    expect(test.runtime.recovery.report).toMatchObject({ ok: true });
  });

  it('of one flow, stays with whom it is bound to, whatever turns the other one makes', async () => {
    test = await createTestRuntime({ flows: [visits], recovery: { mode: 'verify' } });
    await test.spawn(visits, 'ada', { phoneNumber });
    await test.spawn(visits, 'bob', { phoneNumber: '+15552000002' });
    await test.knex('flow_states').where({ participant_id: 'bob' }).update({ address: phoneNumber });
    await restart();
    expect(test.runtime.recovery.report!.components[0]!.failed).toMatchObject([
      { participantId: 'bob', reason: expect.stringContaining('belongs to ada as well, who gets the messages') },
    ]);
    await test.advance('1h');
    await test.actor(visits, 'bob').send({ type: 'poke' });
    await restart();
    expect(await write('1')).toBe('ada');
    // However long ada is silent; once she has ended, it is bob's at once.
    await test.advance('49h');
    await test.actor(visits, 'bob').send({ type: 'poke' });
    await restart();
    expect(await write('2')).toBe('ada');
    await test.actor(visits, 'ada').stop();
    expect(await write('3')).toBe('bob');
    await restart();
    expect(await write('4')).toBe('bob');
    expect(test.runtime.recovery.report).toMatchObject({ ok: true });
  });

  it('of one flow, that is bound to nobody, goes to one of them, and the report names the other one', async () => {
    test = await createTestRuntime({ flows: [visits], recovery: { mode: 'verify' } });
    await test.spawn(visits, 'ada', { phoneNumber });
    await test.spawn(visits, 'bob', { phoneNumber: '+15552000002' });
    await test.knex('flow_states').where({ participant_id: 'bob' }).update({ address: phoneNumber });
    await test.knex('response_handlers').delete();
    const dryRun = await test.runtime.recover({ dryRun: true });
    await restart();
    for (const [report, action] of [
      [dryRun, 'would be bound'],
      [test.runtime.recovery.report!, 'bound'],
    ] as const) {
      expect(report.ok).toBe(false);
      expect(report.components[0]).toMatchObject({
        failed: [{ participantId: 'bob', reason: expect.stringContaining('belongs to ada as well') }],
        notices: [{ participantId: 'ada', action }],
      });
    }
    expect(await write('1')).toBe('ada');
  });

  it('of one flow, goes to an actor that is spawned with it', async () => {
    test = await createTestRuntime({ flows: [visits] });
    await test.spawn(visits, 'ada', { phoneNumber });
    await test.spawn(visits, 'bob', { phoneNumber });
    expect(await write('1')).toBe('bob');
    await test.advance('1h');
    await test.actor(visits, 'ada').send({ type: 'poke' });
    await restart();
    expect(await write('2')).toBe('bob');
  });

  it('that is its as long as it runs, is bound again where the row says that this is over', async () => {
    test = await createTestRuntime({ flows: [visits], recovery: { mode: 'verify' } });
    await test.spawn(visits, 'ada', { phoneNumber });
    await test.knex('response_handlers').update({ expires_at: 1000 });
    await restart();
    expect(test.runtime.recovery.report!.components[0]!.notices).toMatchObject([
      {
        reason: expect.stringContaining('1970-01-01T00:00:01.000Z; it lasts as long as the actor runs.'),
        action: 'renewed',
      },
    ]);
    expect(await test.knex('response_handlers').first('expires_at')).toEqual({ expires_at: 8.64e15 });
    await test.knex('response_handlers').delete();
    await restart();
    expect(await test.knex('response_handlers').first('expires_at')).toEqual({ expires_at: 8.64e15 });
    expect(await write('1')).toBe('ada');
  });
});
