import { getCountries, type CountryCode as Theirs } from 'libphonenumber-js';
import { expect, expectTypeOf, it } from 'vitest';
import { type CountryCode, isCountry } from '../../src/messaging/phone-numbers.ts';

it('has the countries of libphonenumber-js, no more and no less', () => {
  expectTypeOf<CountryCode>().toEqualTypeOf<Theirs>();
  expect(getCountries().filter((country) => !isCountry(country))).toEqual([]);
  expect(['XX', 'de', '', 'constructor'].filter(isCountry)).toEqual([]);
});
