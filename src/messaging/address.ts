import { type CountryCode, parsePhoneNumberFromString } from 'libphonenumber-js';
import { InvalidPhoneNumberError } from '../errors.ts';

/**
 * A phone number in E.164, e.g. `+15551234567`. Takes numbers with spaces, dashes and brackets, in national form where a
 * default country is given, and the legacy form of digits without `+`.
 * @throws {InvalidPhoneNumberError} fewer than 6 digits, or a number that cannot exist
 */
export function normalizePhoneNumber(text: unknown, defaultCountry?: CountryCode): string {
  if (typeof text !== 'string' || text.trim() === '') {
    throw new InvalidPhoneNumberError('The phone number is missing. Write it like +1 555 123 4567.');
  }
  const digits = text.replace(/\D/g, '');
  if (digits.length < 6 || /[a-z]/i.test(text)) {
    throw new InvalidPhoneNumberError(
      `'${text}' is not a phone number. Write it with its country code, like +1 555 123 4567.`,
    );
  }
  const national = defaultCountry && parsePhoneNumberFromString(text, { defaultCountry, extract: false });
  const international = parsePhoneNumberFromString(`+${digits}`, { extract: false });
  const number = [national, international].find((candidate) => candidate?.isPossible());
  if (!number) {
    throw new InvalidPhoneNumberError(
      `'${text}' cannot be a phone number. Check its length and its country code, like +1 555 123 4567.`,
    );
  }
  return number.number;
}

/** An address that is not a phone number, e.g. a business-scoped user id `US.13491208655302741918` or `web:ada`. */
const OTHER_ADDRESS = /^[A-Za-z][\w-]*[.:@][\w.:@+-]+$/;

/** How some channels write a phone number, e.g. `whatsapp:+15551234567`. */
const CHANNEL = /^\s*(whatsapp|sms|mms|rcs|tel):(?=\s*\+?\d)/i;

/** The address of a sender: a phone number in E.164, or another address of the channel as it is. */
export function normalizeAddress(address: unknown, defaultCountry?: CountryCode): string {
  const text = typeof address === 'string' ? address.replace(CHANNEL, '') : address;
  return typeof text === 'string' && OTHER_ADDRESS.test(text.trim())
    ? text.trim()
    : normalizePhoneNumber(text, defaultCountry);
}

/** Why a message from this address would not be found to be from there; undefined: it would. */
export function addressFault(address: string): string | undefined {
  try {
    const normal = normalizeAddress(address);
    return normal === address ? undefined : `A message from '${address}' counts as one from '${normal}'.`;
  } catch (error) {
    return (error as Error).message;
  }
}
