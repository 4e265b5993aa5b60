/** Phone numbers, as people type them and as channels give them. */
import { describe, expect, it } from 'vitest';
import { addressFault, formsOf, lineOf, normalizeAddress, normalizePhoneNumber } from '../../src/messaging/address.ts';
import type { CountryCode } from '../../src/messaging/phone-numbers.ts';

const ADA = '+15551234567';

describe('a full number', () => {
  it.each([
    ['+15551234567', ADA],
    ['+1 (555) 123-4567', ADA],
    ['+1.555.123.4567', ADA],
    [' +1\u00a0555\u2011123 4567 ', ADA],
    ['001 555 123 4567', ADA],
    ['(+49) 1512/3456789', '+4915123456789'],
    ['+44 (0)20 7946 0958', '+442079460958'],
    ['1 (555) 123-4567', ADA],
    ['15551234567', ADA],
    ['442079460958', '+442079460958'],
  ])('is read from %s', (text, number) => {
    expect(normalizePhoneNumber(text)).toBe(number);
    expect(normalizePhoneNumber(text, undefined, 'channel')).toBe(number);
  });

  it.each([
    ['+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧', '+966501234567'],
    ['+۹۸۹۱۲۱۲۳۴۵۶۷', '+989121234567'],
    ['+९१९८७६५४३२१०', '+919876543210'],
    ['＋１（５５５）１２３－４５６７', ADA],
    ['+𝟏𝟓𝟓𝟓𝟏𝟐𝟑𝟒𝟓𝟔𝟕', ADA],
    ['+1555123456๗', ADA],
    ['\u200f+1555\u200b1234567\u202c', ADA],
  ])('is read whatever its script: %s', (text, number) => {
    expect(normalizePhoneNumber(text)).toBe(number);
  });

  it.each([
    'unknown',
    '12345',
    '+1 555 123 4567 ext. 5',
    '+15551234567;ext=5',
    '+15551234567#5',
    '+15551234567, +15551234568',
    '+15551234567/+15551234568',
    '+15551234567\n+15551234568',
    '15551234567+',
    '+1 555 ABC 4567',
    '+1 五五五 123 4567',
    '+1️⃣5551234567',
    '+1 555 123 4567 (Ada)',
  ])('is not %s', (text) => {
    expect(() => normalizePhoneNumber(text)).toThrow('is not a phone number');
    expect(() => normalizeAddress(text, undefined, 'channel')).toThrow('is not a phone number');
  });

  it.each(['+15551234567١٢', '+1 555 123', '001 555 123', '+999 123 456 789'])('cannot be %s', (text) => {
    expect(() => normalizePhoneNumber(text)).toThrow('cannot be a phone number');
  });
});

describe('a national number', () => {
  const national: [string, CountryCode, string][] = [
    ['555 123 4567', 'US', ADA],
    ['(555) 123-4567', 'US', ADA],
    ['5551234567', 'US', ADA],
    ['٥٥٥ ١٢٣ ٤٥٦٧', 'US', ADA],
    ['01512 3456789', 'DE', '+4915123456789'],
    ['(51) 98888-8888', 'BR', '+5551988888888'],
    ['138 1234 5678', 'CN', '+8613812345678'],
    ['479 234 5678', 'US', '+14792345678'],
  ];
  it.each(national)('%s needs a country', (text, country, number) => {
    expect(() => normalizePhoneNumber(text)).toThrow('has no country');
    expect(normalizePhoneNumber(text, country)).toBe(number);
    expect(() => normalizePhoneNumber(text, undefined, 'channel')).toThrow('has no country');
  });

  it('may look like a short full number: typed, that needs its plus; a channel gives full numbers', () => {
    expect(() => normalizePhoneNumber('4792345678')).toThrow('has no country');
    expect(normalizePhoneNumber('4792345678', undefined, 'channel')).toBe('+4792345678');
  });

  it('leaves full numbers in digits alone what they are, beside a default country', () => {
    expect(normalizePhoneNumber('4915123456789', 'DE')).toBe('+4915123456789');
    expect(normalizePhoneNumber('4915123456789', 'US')).toBe('+4915123456789');
    expect(normalizePhoneNumber('0049 1512 3456789', 'US')).toBe('+4915123456789');
    expect(normalizePhoneNumber('011 49 1512 3456789', 'US')).toBe('+4915123456789');
  });
});

describe('the two forms of a mobile number', () => {
  it.each([
    ['Mexico', '+525512345678', ['+52 55 1234 5678', '5215512345678', '+52 1 55 1234 5678', '+52 044 55 1234 5678']],
    ['Brazil', '+5531988888888', ['+55 31 98888-8888', '553188888888', '+55 (0)31 8888-8888']],
    [
      'Argentina',
      '+5491123456789',
      ['5491123456789', '+54 9 11 2345-6789', '+54 11 15 2345-6789', '+54 9 11 15 2345 6789'],
    ],
  ])('become one that is valid today: %s', (_, number, texts) => {
    for (const text of texts) expect(normalizePhoneNumber(text)).toBe(number);
  });

  it('in national form, too', () => {
    expect(normalizePhoneNumber('044 55 1234 5678', 'MX')).toBe('+525512345678');
    expect(normalizePhoneNumber('1 55 1234 5678', 'MX')).toBe('+525512345678');
    expect(normalizePhoneNumber('(31) 8888-8888', 'BR')).toBe('+5531988888888');
    expect(normalizePhoneNumber('11 15-2345-6789', 'AR')).toBe('+5491123456789');
  });

  it('belong to one person', () => {
    expect(lineOf('+541123456789')).toBe(lineOf('+5491123456789'));
    expect(lineOf('+553188888888')).toBe(lineOf('+5531988888888'));
    expect(lineOf('+5215512345678')).toBe(lineOf('+525512345678'));
    for (const number of ['+541123456789', '+553188888888', '+5215512345678'])
      expect(formsOf(number)).toEqual(expect.arrayContaining([number, lineOf(number)]));
  });

  it('are nothing that other numbers have', () => {
    for (const number of [ADA, '+553132222222', '+5255123456', 'web:ada', 'US.13491208655302741918'])
      expect(formsOf(number)).toEqual([number]);
    // A landline of Argentina is written to as it was given.
    expect(normalizePhoneNumber('+54 11 4345-6789')).toBe('+541143456789');
  });
});

describe('the address of a sender', () => {
  it.each([
    ['whatsapp:+15551234567', ADA],
    ['whatsapp:15551234567', ADA],
    ['15551234567@s.whatsapp.net', ADA],
    ['5215512345678:12@s.whatsapp.net', '+525512345678'],
    ['15551234567@c.us', ADA],
    ['tel:+1-555-123-4567', ADA],
    ['sms:١٥٥٥١٢٣٤٥٦٧', ADA],
    ['US.13491208655302741918', 'US.13491208655302741918'],
    ['web:ada', 'web:ada'],
    ['ada@example.org', 'ada@example.org'],
  ])('%s', (text, address) => {
    expect(normalizeAddress(text, undefined, 'channel')).toBe(address);
  });

  it('of WhatsApp is a full number, whatever the default country makes of its digits', () => {
    expect(normalizeAddress('whatsapp:15551234567', 'DE', 'channel')).toBe(ADA);
    expect(normalizeAddress('15551234567', 'DE', 'channel')).toBe('+4915551234567');
  });

  it('that is stored is found in each of its forms, and in no other', () => {
    expect(addressFault(ADA)).toBeUndefined();
    expect(addressFault('+541123456789')).toBeUndefined();
    expect(addressFault('+553188888888')).toBeUndefined();
    expect(addressFault('web:ada')).toBeUndefined();
    expect(addressFault('15551234567')).toContain(`counts as one from '${ADA}'`);
    expect(addressFault('unknown')).toContain('is not a phone number');
  });
});
