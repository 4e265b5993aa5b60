import { InvalidArgumentError as InvalidOption } from 'commander';
import { type CountryCode, isCountry } from '../messaging/phone-numbers.ts';

/** Reads the country of numbers in national form, from the two letters of ISO 3166. */
export function country(text: string): CountryCode {
  const code = text.toUpperCase();
  if (!isCountry(code)) throw new InvalidOption(`There is no country '${text}'. Write two letters, like US or DE.`);
  return code;
}
