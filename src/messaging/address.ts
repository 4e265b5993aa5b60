/**
 * Addresses of people: phone numbers in E.164, and others as they are.
 *
 * A number is read in these ways, in this order:
 *
 *   +49 1512 …, 0049 1512 …     a full number
 *   01512 3456789               a national one: only with a default country
 *   15551234567                 digits alone, as WhatsApp and the system before write full numbers: if such a number is valid
 *
 * A person who types digits alone may mean a national number, too. So what is typed must have 11 digits or more; what a
 * channel or an older database gives need not.
 *
 * Mobile numbers of Mexico, Argentina and Brazil have two forms, of which WhatsApp gives the older one. Both lead to one
 * person ({@link formsOf}), and what is kept is a number that is valid today.
 */
import { InvalidPhoneNumberError } from '../errors.ts';
import { type CountryCode, type PhoneNumber, parsePhoneNumber } from './phone-numbers.ts';

/** Who wrote a number: a person who typed it, or a channel or an older database, whose digits alone are a full number. */
export type NumberSource = 'person' | 'channel';

/**
 * A phone number in E.164, e.g. `+15551234567`. Takes numbers with spaces, dashes, dots, slashes and brackets, and digits of
 * any script; in national form where a default country is given.
 * @throws {InvalidPhoneNumberError} fewer than 6 digits, anything that belongs to no number, a national number without a
 * country, or a number that cannot exist
 */
export function normalizePhoneNumber(
  text: unknown,
  defaultCountry?: CountryCode,
  source: NumberSource = 'person',
): string {
  if (typeof text !== 'string' || text.trim() === '') {
    throw new InvalidPhoneNumberError('The phone number is missing. Write it like +1 555 123 4567.');
  }
  const written = plain(text);
  const digits = written.replace(/\D/g, '');
  if (digits.length < 6 || !NUMBER.test(written)) {
    throw new InvalidPhoneNumberError(
      `${shown(text)} is not a phone number. Write it with its country code, like +1 555 123 4567.`,
    );
  }
  const isFull = /^\W*\+/.test(written);
  const candidates = isFull
    ? [inFull(digits)]
    : [national(written, digits, defaultCountry), ...(digits.startsWith('00') ? [inFull(digits.slice(2))] : [])];
  const number =
    candidates.find((candidate) => candidate?.isPossible()) ??
    (isFull ? undefined : withoutPlus(written, digits, source));
  if (number) return number.number;
  if (isFull || defaultCountry || digits.startsWith('00') || digits.length > LONGEST) {
    throw new InvalidPhoneNumberError(
      `${shown(text)} cannot be a phone number. Check its length and its country code, like +1 555 123 4567.`,
    );
  }
  throw new InvalidPhoneNumberError(
    `${shown(text)} has no country. Write the number with its country code and a plus, like +1 555 123 4567.`,
  );
}

/** Digits of the longest full number (E.164). */
const LONGEST = 15;

/** What a number is written with; a plus only in front. */
const NUMBER = /^[\s([]*\+?[\d\s().[\]/\p{Pd}\u2212]+$/u;

const shown = (text: string) => `'${text.length > 40 ? `${text.slice(0, 40)}…` : text}'`;

/** Digits of any script as `0` to `9`, full-width signs as plain ones, without marks that cannot be seen. */
function plain(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/\p{Cf}/gu, '')
    .replace(/\p{Nd}/gu, digitOf)
    .trim();
}

/** The value of a digit. Unicode keeps the digits of a script together, from its zero on, in groups of ten. */
function digitOf(digit: string): string {
  const code = digit.codePointAt(0)!;
  let zero = code;
  while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
  return String((code - zero) % 10);
}

/** Digits behind the plus. */
function inFull(digits: string): PhoneNumber | undefined {
  const parse = (number: string) => parsePhoneNumber(today(number));
  const number = parse(`+${digits}`);
  return number && today(number.number) !== number.number ? parse(number.number) : number; // a trunk prefix was in it
}

/** A number in the default country. Digits alone that begin with its calling code are a full number, if that is valid. */
function national(written: string, digits: string, defaultCountry: CountryCode | undefined): PhoneNumber | undefined {
  if (!defaultCountry) return undefined;
  const full = written === digits && !digits.startsWith('0') ? inFull(digits) : undefined;
  const local = parsePhoneNumber(written, defaultCountry);
  if (full?.isValid() && full.countryCallingCode === local?.countryCallingCode) return full;
  return local && inFull(local.number.slice(1));
}

/** A full number without plus. Formatted, it is one only where it is written as in North America, with the 1 in front. */
function withoutPlus(written: string, digits: string, source: NumberSource): PhoneNumber | undefined {
  const number = digits.startsWith('0') ? undefined : inFull(digits);
  // The area code 555 is not valid, and is what examples and tests are written with.
  if (!number || !(number.isValid() || /^\+1555\d{7}$/.test(number.number))) return undefined;
  if (number.countryCallingCode === '1') return number;
  return written === digits && (source === 'channel' || digits.length >= 11) ? number : undefined;
}

/**
 * The forms of a mobile number of which WhatsApp gives one and its owner another:
 * - Mexico has dropped the 1 behind 52 in 2019, and before that the trunk prefixes 01, 044 and 045.
 * - Argentina has a 9 behind 54 from abroad, for which 15 is dialled at home.
 * - Brazil has put a 9 before all mobile numbers, which began with 6 to 9.
 */
const today = (number: string): string =>
  number
    .replace(/^\+52(?:1|01|044|045)(\d{10})$/, '+52$1')
    .replace(/^\+549(\d{2,4}15\d{6,8})$/, (whole, local) => (whole.length === 16 ? `+54${local}` : whole))
    .replace(/^\+55(\d\d)([6-9]\d{7})$/, (_, area, local) => `+55${area}9${local}`);

/** All forms in which an address of the same person may be written; the first one is the same for each of them. */
export function formsOf(address: string): [string, ...string[]] {
  const [, country, local = ''] = /^\+(52|54|55)(\d+)$/.exec(address) ?? [];
  if (country === '52' && /^1?\d{10}$/.test(local)) return [`+52${local.slice(-10)}`, `+521${local.slice(-10)}`];
  if (country === '54' && /^9?\d{10}$/.test(local)) return [`+549${local.slice(-10)}`, `+54${local.slice(-10)}`];
  if (country === '55' && /^\d\d9?[6-9]\d{7}$/.test(local)) {
    const [area, last] = [local.slice(0, 2), local.slice(-8)];
    return [`+55${area}9${last}`, `+55${area}${last}`];
  }
  return [address];
}

/** One form for all that {@link formsOf} gives: two addresses are one person's if it is the same. */
export const lineOf = (address: string): string => formsOf(address)[0];

/** An address that is not a phone number, e.g. a business-scoped user id `US.13491208655302741918` or `web:ada`. */
const OTHER_ADDRESS = /^[A-Za-z][\w-]*[.:@][\w.:@+-]+$/;

/** How some channels write a phone number, e.g. `whatsapp:+15551234567`. */
const CHANNEL = /^\s*(?:whatsapp|sms|mms|rcs|tel):(?=\s*\+?\p{Nd})/iu;

/** How WhatsApp writes full numbers: `whatsapp:15551234567`, or `15551234567@s.whatsapp.net`. */
const WHATSAPP = /^\s*(?:whatsapp:\s*(?=\d+\s*$)|(?=\d+(?::\d+)?@(?:s\.whatsapp\.net|c\.us)\s*$))/i;

/** The address of a person: a phone number in E.164, or another address of the channel as it is. */
export function normalizeAddress(
  address: unknown,
  defaultCountry?: CountryCode,
  source: NumberSource = 'person',
): string {
  if (typeof address !== 'string') return normalizePhoneNumber(address, defaultCountry, source);
  const text = address
    .replace(WHATSAPP, '+')
    .replace(/^(\+\d+)(?::\d+)?@.*$/, '$1')
    .replace(CHANNEL, '')
    .trim();
  return OTHER_ADDRESS.test(text) ? text : normalizePhoneNumber(text, defaultCountry, source);
}

/** Why a message from this address would not be found to be from there; undefined: it would. */
export function addressFault(address: string): string | undefined {
  try {
    const normal = normalizeAddress(address, undefined, 'channel');
    return formsOf(normal).includes(address)
      ? undefined
      : `A message from '${address}' counts as one from '${normal}'.`;
  } catch (error) {
    return (error as Error).message;
  }
}
