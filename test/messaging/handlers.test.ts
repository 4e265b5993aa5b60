/** Who gets a message, where the answer is read while it changes, and where actors share a number. */
import { afterEach, describe, expect, it } from 'vitest';
import { assign, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { Handlers } from '../../src/messaging/handlers.ts';
import type { Claim } from '../../src/store/rows.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const PHONE = '+15551234567';

const visitFlow = (type: string) =>
  defineFlow({
    type,
    version: 1,
    logic: setup({
      types: { context: {} as { heard: string[] }, events: {} as { type: 'reply'; text: string } | { type: 'finish' } },
    }).createMachine({
      context: { heard: [] },
      initial: 'open',
      states: {
        open: {
          on: {
            reply: { actions: assign({ heard: ({ context, event }) => [...context.heard, event.text] }) },
            finish: 'over',
          },
        },
        over: { type: 'final' },
      },
    }),
  });
const [visits, surveys] = [visitFlow('visits'), visitFlow('surveys')];

const claim = (participant_id: string, rest: Partial<Claim> = {}): Claim => ({
  phone_number: PHONE,
  participant_id,
  flow_type: 'visits',
  status: 'active',
  updated_at: '2026-01-01T00:00:00.000Z',
  bound_at: 1,
  expires_at: 8.64e15,
  own: true,
  ...rest,
});

/** Handlers whose reads are answered by hand. */
function slowHandlers() {
  const reads: { answer: (...claims: Claim[]) => void; fail: (error: Error) => void }[] = [];
  const claims = () =>
    new Promise((resolve, reject) => {
      reads.push({ answer: (...found) => resolve([found]), fail: reject });
    });
  const handlers = new Handlers({ claims } as never, 10);
  const whose = async () => (await handlers.of(PHONE)).map(({ participantId }) => participantId);
  const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  return { handlers, reads, whose, turn };
}

describe('a read of whose number it is', () => {
  it('is done again where the number was bound anew meanwhile, and the first answer is kept by nobody', async () => {
    const { handlers, reads, whose, turn } = slowHandlers();
    const asked = whose();
    await turn();
    handlers.forget(PHONE);
    reads[0]!.answer(claim('ada'));
    await turn();
    reads[1]!.answer(claim('bob'));
    expect(await asked).toEqual(['bob']);
    expect(await whose()).toEqual(['bob']);
    expect(reads).toHaveLength(2);
  });

  it('is shared by those who ask at once, unless it began before the number was bound anew', async () => {
    const { handlers, reads, whose, turn } = slowHandlers();
    const early = [whose(), whose()];
    await turn();
    handlers.forget(PHONE);
    const late = whose();
    reads[0]!.answer(claim('ada'));
    await turn();
    reads[1]!.answer(claim('bob'));
    expect(await Promise.all([...early, late])).toEqual([['bob'], ['bob'], ['bob']]);
  });

  it('is done again where an actor has made a turn meanwhile: who spoke last comes first', async () => {
    const { handlers, reads, whose, turn } = slowHandlers();
    const asked = whose();
    await turn();
    handlers.touch(PHONE, { flowType: 'surveys', participantId: 'bob' }, false);
    reads[0]!.answer(claim('ada', { updated_at: '2026-01-02' }), claim('bob', { flow_type: 'surveys' }));
    await turn();
    reads[1]!.answer(
      claim('ada', { updated_at: '2026-01-02' }),
      claim('bob', { flow_type: 'surveys', updated_at: '2026-01-03' }),
    );
    expect(await asked).toEqual(['bob', 'ada']);
    handlers.touch(PHONE, { flowType: 'visits', participantId: 'ada' }, false);
    expect(await whose()).toEqual(['ada', 'bob']);
    // One that has the number as well, but does not get its messages, is not meant by the other's place.
    handlers.touch(PHONE, { flowType: 'surveys', participantId: 'cy' }, false);
    expect(await whose()).toEqual(['ada', 'bob']);
  });

  it('that failed is told, and does not stand in the way of the next one', async () => {
    const { reads, whose, turn } = slowHandlers();
    const asked = whose();
    await turn();
    reads[0]!.fail(new Error('the disk is gone'));
    await expect(asked).rejects.toThrow('the disk is gone');
    const again = whose();
    await turn();
    reads[1]!.answer(claim('ada'));
    expect(await again).toEqual(['ada']);
  });

  it('is not kept of a number that is not the one in the row: its end would not be heard of', async () => {
    const { reads, whose, turn } = slowHandlers();
    for (const status of ['active', 'done'] as const) {
      const asked = whose();
      await turn();
      reads.at(-1)!.answer(claim('ada', { own: false, status }));
      expect(await asked).toEqual(['ada']);
    }
    expect(reads).toHaveLength(2);
  });
});

describe('actors of one number', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());
  let last = 0;
  const say = async (text = 'hello') =>
    (await test.receive({ channel: 'sms', id: `SM${++last}`, from: PHONE, text })).address?.participantId;
  const begin = async () => {
    test = await createTestRuntime({ flows: [visits, surveys] });
    const told: object[] = [];
    test.runtime.on('numberTaken', ({ address, from }) => told.push([address.participantId, from.participantId]));
    return { runtime: test.runtime, told };
  };

  it('of one flow: the new one gets the messages, and says from whom it took the number', async () => {
    const { runtime, told } = await begin();
    const ada = await runtime.spawn(visits, 'ada', { phoneNumber: PHONE });
    expect(ada).toMatchObject({ created: true });
    expect(ada.tookNumberFrom).toBeUndefined();
    const bob = await runtime.ensure(visits, 'bob', { phoneNumber: '+1 (555) 123-4567' });
    expect(bob.tookNumberFrom).toEqual(ada.address);
    expect((await runtime.ensure(visits, 'bob', { phoneNumber: PHONE })).tookNumberFrom).toBeUndefined();
    await runtime.spawn(surveys, 'cy', { phoneNumber: PHONE });
    expect(told).toEqual([['bob', 'ada']]);
  });

  it('of one flow: when the last one has ended, its messages go to the one that waits, over a restart too', async () => {
    await begin();
    await test.spawn(visits, 'ada', { phoneNumber: PHONE });
    await test.spawn(visits, 'bob', { phoneNumber: PHONE });
    expect(await say()).toBe('bob');
    await test.actor(visits, 'bob').send({ type: 'finish' });
    expect(await say()).toBe('ada');
    await test.crash();
    await test.restart();
    expect(await say()).toBe('ada');
    await test.actor(visits, 'ada').send({ type: 'finish' });
    expect(await say()).toBe('ada');
    await test.runtime.spawn(visits, 'cy', { phoneNumber: PHONE });
    expect(await say()).toBe('cy');
    await test.runtime.remove(visits, 'cy');
    expect(await say()).toBeUndefined();
  });

  it('of two flows: when the last one has ended, its messages go to the one that runs, whatever it ignores', async () => {
    await begin();
    await test.spawn(visits, 'ada', { phoneNumber: PHONE });
    await test.advance('1m');
    await test.spawn(surveys, 'bob', { phoneNumber: PHONE });
    await test.advance('1m');
    expect(await say()).toBe('bob');
    await test.actor(surveys, 'bob').send({ type: 'finish' });
    await test.advance('1m');
    await test.actor(surveys, 'bob').send({ type: 'reply', text: 'bye' });
    expect(await say()).toBe('ada');
    await test.crash();
    await test.restart();
    expect(await say()).toBe('ada');
  });

  it('of one that ends in its first turn: it leads there as long as to any other, and is taken from nobody who runs', async () => {
    const notice = defineFlow({
      type: 'notice',
      version: 1,
      handlerTtl: '1h',
      logic: setup({
        types: { context: {} as { asks: boolean }, input: {} as { asks: boolean } },
      }).createMachine({
        context: ({ input }) => ({ asks: input.asks }),
        initial: 'begun',
        states: {
          begun: { always: [{ guard: ({ context }) => context.asks, target: 'asking' }, 'told'] },
          asking: {},
          told: { type: 'final' },
        },
      }),
    });
    test = await createTestRuntime({ flows: [notice] });
    const told = { input: { asks: false }, phoneNumber: PHONE };
    await test.spawn(notice, 'ada', told);
    expect(await say('thanks')).toBe('ada');
    await test.crash();
    await test.restart();
    expect(await say('thanks')).toBe('ada');
    await test.spawn(notice, 'bob', told);
    expect(await say('thanks')).toBe('bob');
    await test.advance('1h');
    expect(await say('thanks')).toBeUndefined();
    // Bound by hand: the number is not the one in its row.
    await test.spawn(notice, 'cy', { input: { asks: true } });
    await test.knex('response_handlers').update({ participant_id: 'cy' });
    await test.spawn(notice, 'dan', told);
    expect(await say()).toBe('cy');
  });

  it('that are created side by side: each says from whom it took the number, and the last one has it', async () => {
    const { runtime, told } = await begin();
    const ids = ['ada', 'bob', 'cy'];
    await Promise.all(ids.map((id) => runtime.spawn(visits, id, { phoneNumber: PHONE })));
    expect(told).toEqual([
      ['bob', 'ada'],
      ['cy', 'bob'],
    ]);
    expect(await say()).toBe('cy');
  });

  it('in a transaction: it is told once that has committed, and not at all where it is rolled back', async () => {
    const { runtime, told } = await begin();
    await runtime.spawn(visits, 'ada', { phoneNumber: PHONE });
    const rolledBack = runtime.transaction(async (trx) => {
      expect(await trx.spawn(visits, 'bob', { phoneNumber: PHONE })).toMatchObject({
        tookNumberFrom: { participantId: 'ada' },
      });
      throw new Error('undo');
    });
    await expect(rolledBack).rejects.toThrow('undo');
    expect(await say()).toBe('ada');
    await runtime.transaction(async (trx) => {
      await trx.ensure(visits, 'cy', { phoneNumber: PHONE });
      expect(told).toEqual([]);
    });
    expect(told).toEqual([['cy', 'ada']]);
    expect(await say()).toBe('cy');
  });
});
