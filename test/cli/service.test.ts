/** The service as the command line makes it. */
import { afterEach, expect, it } from 'vitest';
import { country } from '../../src/cli/country.ts';
import { createService } from '../../src/cli/service.ts';

let stop = async () => {};
afterEach(() => stop());

it('reads phone numbers in national form by its default country, of who is enrolled and of who writes', async () => {
  const { runtime, participants } = createService({ database: ':memory:', defaultCountry: country('de') });
  stop = () => runtime.stop();
  await runtime.start();
  const { id, phone_number } = await participants!.enrolInIntervention({ phone_number: '01512 3456789' });
  expect(phone_number).toBe('+4915123456789');
  expect(await runtime.receive({ channel: 'sms', id: 'm1', from: '01512 3456789', text: 'Ready' })).toMatchObject({
    address: { participantId: id },
  });
});

it('refuses a country that there is not', () => {
  expect(() => country('Narnia')).toThrow("There is no country 'Narnia'. Write two letters, like US or DE.");
});
