/** Scripts in which the application sends within a transaction of its own. */
import { expect, it } from 'vitest';
import { crashEverywhere } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';
import { appointment } from './appointment.ts';

it('is crashed through with all that it asks for: messages, deadlines, invocations', async () => {
  const { crashes } = await crashEverywhere(
    appointment,
    [{ transaction: [{ type: 'reply', text: '1' }] }, { resolve: 'bookRoom', with: { room: 7 } }],
    { input: { day: 'Monday' }, phoneNumber: '+15551234567' },
  );
  expect(crashes).toBeGreaterThan(30);
});

it('is one transaction: a crash leaves all of its turns or none', async () => {
  await crashEverywhere(
    counter,
    [
      { transaction: [{ type: 'inc' }, { type: 'say', text: 'one' }, { type: 'throw later' }] },
      { transaction: [{ type: 'inc' }, { type: 'throw' }] },
      {
        transaction: [
          { type: 'say', text: 'two' },
          { type: 'say', text: 'three' },
        ],
      },
    ],
    { phoneNumber: '+15551234567' },
  );
});

it('has events', async () => {
  for (const transaction of [{ type: 'inc' }, ['inc']])
    await expect(crashEverywhere(counter, [{ transaction } as never])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/^Step 1 of the script/),
    });
});
