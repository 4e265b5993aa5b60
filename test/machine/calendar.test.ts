import { describe, expect, it } from 'vitest';
import { addLocalDays, localDate, nextLocalTime, nextWeekly } from '../../src/machine/index.ts';

const at = Date.parse;
const iso = (instant: number) => new Date(instant).toISOString();
const next = (after: string, time: string, timeZone: string, notOn?: string | null) =>
  iso(nextLocalTime({ after: at(after), time, timeZone, notOn }));

describe('nextLocalTime', () => {
  it.each([
    ['today, if it is still to come', '2026-05-01T08:00:00Z', '10:00', 'UTC', '2026-05-01T10:00:00.000Z'],
    ['tomorrow, if it is just now', '2026-05-01T10:00:00Z', '10:00', 'UTC', '2026-05-02T10:00:00.000Z'],
    ['today, a millisecond before', '2026-05-01T09:59:59.999Z', '10:00', 'UTC', '2026-05-01T10:00:00.000Z'],
    ['by the clock of the zone', '2026-05-01T13:59:00Z', '10:00', 'America/New_York', '2026-05-01T14:00:00.000Z'],
    ['by the date of the zone', '2026-05-01T20:00:00Z', '10:00', 'Pacific/Kiritimati', '2026-05-02T20:00:00.000Z'],
    ['over the turn of a year', '2026-12-31T23:30:00Z', '23:15', 'UTC', '2027-01-01T23:15:00.000Z'],
    ['on a leap day', '2028-02-28T11:00:00Z', '10:00', 'UTC', '2028-02-29T10:00:00.000Z'],
    ['at midnight', '2026-05-01T08:00:00Z', '00:00', 'UTC', '2026-05-02T00:00:00.000Z'],
  ])('is %s', (_, after, time, zone, expected) => {
    expect(next(after, time, zone)).toBe(expected);
  });

  it.each([
    ['before the clocks change', '2026-03-07T00:00:00Z', '10:00', 'America/New_York', '2026-03-07T15:00:00.000Z'],
    ['after they went forward', '2026-03-07T15:00:00Z', '10:00', 'America/New_York', '2026-03-08T14:00:00.000Z'],
    ['after they went back', '2026-10-31T14:00:00Z', '10:00', 'America/New_York', '2026-11-01T15:00:00.000Z'],
  ])('keeps the wall time %s', (_, after, time, zone, expected) => {
    expect(next(after, time, zone)).toBe(expected);
  });

  it.each([
    ['New York, an hour', '2026-03-08T00:00:00Z', '02:30', 'America/New_York', '2026-03-08T07:00:00.000Z'],
    ['New York, the first minute', '2026-03-08T00:00:00Z', '02:00', 'America/New_York', '2026-03-08T07:00:00.000Z'],
    ['New York, the last minute', '2026-03-08T00:00:00Z', '02:59', 'America/New_York', '2026-03-08T07:00:00.000Z'],
    ['Lord Howe, half an hour', '2026-10-03T00:00:00Z', '02:10', 'Australia/Lord_Howe', '2026-10-03T15:30:00.000Z'],
    ['Lord Howe, just after', '2026-10-03T00:00:00Z', '02:30', 'Australia/Lord_Howe', '2026-10-03T15:30:00.000Z'],
    ['São Paulo, midnight', '2018-11-03T20:00:00Z', '00:00', 'America/Sao_Paulo', '2018-11-04T03:00:00.000Z'],
    ['São Paulo, after midnight', '2018-11-03T20:00:00Z', '00:30', 'America/Sao_Paulo', '2018-11-04T03:00:00.000Z'],
    ['Cairo, after midnight', '2023-04-27T20:00:00Z', '00:30', 'Africa/Cairo', '2023-04-27T22:00:00.000Z'],
    ['Nuuk, up to midnight', '2024-03-30T12:00:00Z', '23:30', 'America/Nuuk', '2024-03-31T01:00:00.000Z'],
  ])('means the end of a gap (%s)', (_, after, time, zone, expected) => {
    expect(next(after, time, zone)).toBe(expected);
  });

  it('fires once on the day of a gap', () => {
    expect(next('2026-03-08T07:00:00Z', '02:30', 'America/New_York')).toBe('2026-03-09T06:30:00.000Z');
  });

  it.each([
    [
      'New York',
      '2026-10-31T20:00:00Z',
      '01:30',
      'America/New_York',
      '2026-11-01T05:30:00.000Z',
      '2026-11-02T06:30:00.000Z',
    ],
    [
      'Lord Howe',
      '2026-04-04T00:00:00Z',
      '01:45',
      'Australia/Lord_Howe',
      '2026-04-04T14:45:00.000Z',
      '2026-04-05T15:15:00.000Z',
    ],
    ['Cairo', '2023-10-26T00:00:00Z', '23:30', 'Africa/Cairo', '2023-10-26T20:30:00.000Z', '2023-10-27T21:30:00.000Z'],
  ])('fires once, the first time, where a time comes twice (%s)', (_, after, time, zone, first, second) => {
    expect(next(after, time, zone)).toBe(first);
    expect(next(first, time, zone)).toBe(second);
  });

  it('fires on the next day between the two occurrences and during the second', () => {
    expect(next('2026-11-01T06:10:00Z', '01:30', 'America/New_York')).toBe('2026-11-02T06:30:00.000Z');
    expect(next('2026-11-01T06:30:00Z', '01:30', 'America/New_York')).toBe('2026-11-02T06:30:00.000Z');
  });

  it('passes over a date that the zone leaves out', () => {
    expect(next('2011-12-29T20:00:00Z', '10:00', 'Pacific/Apia')).toBe('2011-12-30T20:00:00.000Z');
    expect(localDate(at('2011-12-30T20:00:00Z'), 'Pacific/Apia')).toBe('2011-12-31');
    expect(next('2011-12-30T09:59:00Z', '00:00', 'Pacific/Apia')).toBe('2011-12-30T10:00:00.000Z');
  });

  it('passes over a date it is told to pass over', () => {
    expect(next('2026-05-01T08:00:00Z', '10:00', 'UTC', '2026-05-01')).toBe('2026-05-02T10:00:00.000Z');
    expect(next('2026-05-01T12:00:00Z', '10:00', 'UTC', '2026-05-01')).toBe('2026-05-02T10:00:00.000Z');
    expect(next('2026-05-01T08:00:00Z', '10:00', 'UTC', null)).toBe('2026-05-01T10:00:00.000Z');
    // In Honolulu it is still the day before.
    expect(next('2026-05-01T08:00:00Z', '23:00', 'Pacific/Honolulu', '2026-05-01')).toBe('2026-05-01T09:00:00.000Z');
  });

  it.each(['Nowhere/Land', '', 'Berlin', '2026-01-01T00:00Z', undefined, 3])('refuses the zone %j', (timeZone) => {
    const call = () => nextLocalTime({ after: 0, time: '10:00', timeZone: timeZone as string });
    expect(call).toThrow(TypeError);
    expect(call).toThrow(/time zone .* IANA/);
  });

  it.each(['24:00', '10', '9:00', '10:60', '10:00:00', ' 10:00', '', 'noon', undefined, 10])(
    'refuses the time %j',
    (time) => {
      const call = () => nextLocalTime({ after: 0, time: time as string, timeZone: 'UTC' });
      expect(call).toThrow(TypeError);
      expect(call).toThrow(/HH:MM/);
    },
  );

  it('refuses a malformed date and an instant that is not a number', () => {
    expect(() => nextLocalTime({ after: 0, time: '10:00', timeZone: 'UTC', notOn: '2026-02-30' })).toThrow(
      /Malformed date/,
    );
    expect(() => nextLocalTime({ after: Number.NaN, time: '10:00', timeZone: 'UTC' })).toThrow(TypeError);
  });

  it('gives, day after day, one instant per date that shows the time, in every kind of zone', () => {
    for (const timeZone of [
      'America/New_York',
      'Australia/Lord_Howe',
      'Africa/Cairo',
      'Asia/Kathmandu',
      'America/Nuuk',
    ]) {
      const clock = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' });
      const dates = new Set<string>();
      let gaps = 0;
      let instant = at('2025-01-01T00:00:00Z');
      for (let day = 0; day < 730; day++) {
        instant = nextLocalTime({ after: instant, time: '10:15', timeZone });
        dates.add(localDate(instant, timeZone));
        if (clock.format(instant) !== '10:15') gaps++;
      }
      expect({ timeZone, dates: dates.size, gaps }).toEqual({ timeZone, dates: 730, gaps: 0 });
    }
  });
});

describe('nextWeekly', () => {
  const weekly = (after: string, from: string, timeZone: string) =>
    iso(nextWeekly({ after: at(after), from: at(from), timeZone }));

  it('is every 7 days, strictly later', () => {
    expect(weekly('2026-05-01T12:00:00Z', '2026-05-01T12:00:00Z', 'UTC')).toBe('2026-05-08T12:00:00.000Z');
    expect(weekly('2026-05-08T11:59:59.999Z', '2026-05-01T12:00:00Z', 'UTC')).toBe('2026-05-08T12:00:00.000Z');
    expect(weekly('2026-05-08T12:00:00Z', '2026-05-01T12:00:00Z', 'UTC')).toBe('2026-05-15T12:00:00.000Z');
    expect(weekly('2031-05-01T12:00:00Z', '2026-05-01T12:00:00Z', 'UTC')).toBe('2031-05-02T12:00:00.000Z');
  });

  it('begins at `from` itself, where that is to come', () => {
    expect(weekly('2026-04-01T12:00:00Z', '2026-05-01T12:00:00Z', 'UTC')).toBe('2026-05-01T12:00:00.000Z');
  });

  it('keeps the local time over changes of the clocks', () => {
    const from = '2026-03-02T15:00:30.500Z';
    expect(weekly('2026-03-03T00:00:00Z', from, 'America/New_York')).toBe('2026-03-09T14:00:30.500Z');
    expect(weekly('2026-03-09T14:00:30.500Z', from, 'America/New_York')).toBe('2026-03-16T14:00:30.500Z');
    expect(weekly('2026-10-31T00:00:00Z', from, 'America/New_York')).toBe('2026-11-02T15:00:30.500Z');
  });

  it('means the end of a gap, once, and goes on at its own time', () => {
    const from = '2026-03-01T07:30:00Z';
    expect(weekly('2026-03-02T00:00:00Z', from, 'America/New_York')).toBe('2026-03-08T07:00:00.000Z');
    expect(weekly('2026-03-08T07:00:00Z', from, 'America/New_York')).toBe('2026-03-15T06:30:00.000Z');
  });
});

describe('localDate, addLocalDays', () => {
  it('is the date of the zone', () => {
    expect(localDate(at('2026-05-01T03:59:59Z'), 'America/New_York')).toBe('2026-04-30');
    expect(localDate(at('2026-05-01T04:00:00Z'), 'America/New_York')).toBe('2026-05-01');
    expect(() => localDate(0, 'Nowhere/Land')).toThrow(TypeError);
  });

  it('adds days of 23 and 25 hours', () => {
    expect(iso(addLocalDays(at('2026-03-07T15:00:00Z'), 2, 'America/New_York'))).toBe('2026-03-09T14:00:00.000Z');
  });
});
