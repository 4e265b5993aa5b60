import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import { type AdoptedRow, adopt } from '../../../src/study/adoption/index.ts';
import { AT, DAY, goTime, history, LegacyFile, LOOSE_SCHEMA, MINUTE } from './promptpipe.ts';
import { type Study, startStudy } from './study.ts';

let legacy: LegacyFile | undefined;
let study: Study | undefined;
afterEach(async () => {
  await study?.test.stop();
  await legacy?.close().catch(() => {});
  legacy?.remove();
});

/** Anything that SQLite can hold. */
const anything = fc.oneof(
  fc.constant(null),
  fc.string({ unit: 'binary' }),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
);
/** Mostly what is meant, sometimes anything. */
const mostly = <T>(meant: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: meant as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: anything });

const id = mostly(fc.constantFrom('p_1', 'p_2', 'p_3', 'p_4', 'p_5 (row 2)', 'constructor'));
const instant = mostly(
  fc.oneof(
    fc.integer({ min: AT - 90 * DAY, max: AT }).map(goTime),
    fc.constantFrom('2026-07-14 10:00:00', '1970-01-01', '9999-12-31T00:00:00Z', '0001-01-01 00:00:00+00:00'),
  ),
);
const STATES = [
  ...['ORIENTATION', 'COMMITMENT_PROMPT', 'FEELING_PROMPT', 'RANDOM_ASSIGNMENT', 'SEND_INTERVENTION_IMMEDIATE'],
  ...['REINFORCEMENT_FOLLOWUP', 'DID_YOU_GET_A_CHANCE', 'BARRIER_REASON_NO_CHANCE', 'IGNORED_PATH', 'END_OF_DAY'],
  ...['COMPLETE', 'HABIT_REMINDER', 'FOLLOW_UP', 'CONVERSATION_ACTIVE', '__proto__'],
];
const data = fc
  .record(
    {
      feelingResponse: fc.anything(),
      flowAssignment: fc.constantFrom('IMMEDIATE', 'REFLECTIVE', 'BOTH'),
      lastCommitmentDate: fc.constantFrom('2026-07-14', '2026-07-15', 'soon', ''),
      weekStartDate: fc.constantFrom('2026-07-13', '2019-01-01', '2999-01-01'),
      timesCompletedThisWeek: fc.constantFrom('0', '3', 3, '-1', 'many'),
      feelingTimerID: fc.string(),
      conversationHistory: fc.constantFrom(
        history(),
        history(['user', 'hi'], ['assistant', 'yes']),
        '{',
        '{"messages":3}',
      ),
      extra: fc.json(),
    },
    { requiredKeys: [] },
  )
  .map((record) => JSON.stringify(record, (_, value) => (typeof value === 'bigint' ? String(value) : value)));

const states = fc.record({
  participant_id: id,
  flow_type: mostly(fc.constantFrom('micro_health_intervention', 'conversation')),
  current_state: mostly(fc.constantFrom(...STATES)),
  state_data: mostly(fc.oneof(data, fc.constant(''))),
  created_at: instant,
  updated_at: instant,
});
const person = {
  id,
  phone_number: mostly(fc.constantFrom('15551234567', '+1 555 123 4567', '15551234568', '15551234569', '12')),
  name: mostly(fc.string()),
  timezone: mostly(fc.constantFrom('UTC', 'America/New_York', 'Pacific/Apia', 'Mars', '')),
  status: mostly(fc.constantFrom('active', 'paused', 'withdrawn', 'completed')),
  enrolled_at: instant,
  created_at: instant,
  updated_at: instant,
};
const database = fc.record({
  flow_states: fc.array(states, { maxLength: 12 }),
  intervention_participants: fc.array(
    fc.record({
      ...person,
      daily_prompt_time: mostly(fc.constantFrom('10:00', '9:30', '24:00')),
      weekly_reset: instant,
    }),
    { maxLength: 6 },
  ),
  conversation_participants: fc.array(fc.record({ ...person, background: anything }), { maxLength: 6 }),
  intervention_responses: fc.array(
    fc.record({
      participant_id: id,
      state: anything,
      response_text: anything,
      response_type: anything,
      timestamp: instant,
    }),
    { maxLength: 4 },
  ),
  response_handlers: fc.array(fc.record({ phone_number: anything, participant_id: id, expires_at: instant }), {
    maxLength: 4,
  }),
});

it('whatever a database holds: every row is accounted for, nothing is dropped, and the runtime starts on it', {
  timeout: 240_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(database, async (tables) => {
      legacy = await LegacyFile.create(LOOSE_SCHEMA);
      for (const [table, rows] of Object.entries(tables)) for (const row of rows) await legacy.insert(table, row);
      await legacy.close();
      const told: AdoptedRow[] = [];
      const report = await adopt({ file: legacy.file, clock: { now: () => AT }, onRow: (row) => void told.push(row) });

      study = await startStudy(legacy.file, AT + MINUTE);
      const { knex, runtime } = study.test;
      for (const [table, rows] of Object.entries(tables)) {
        expect(
          told.filter((row) => row.table === table),
          table,
        ).toHaveLength(rows.length);
        expect(await knex(`promptpipe_${table}`), table).toHaveLength(rows.length);
      }
      for (const table of ['intervention_participants', 'conversation_participants'] as const)
        expect(await knex(table), table).toHaveLength(tables[table].length);
      for (const { outcome, reason } of told) if (outcome !== 'adopted') expect(reason).toMatch(/.\.$/);

      // Whoever was put aside at the adoption is in the list, and nobody was put aside by recovery.
      const aside = told.filter(({ outcome }) => outcome === 'quarantined');
      expect((await runtime.quarantine.list()).map(({ address }) => address.participantId).sort()).toEqual(
        aside.map(({ participantId }) => participantId).sort(),
      );
      expect(report.exceptions).toHaveLength(told.filter(({ outcome }) => outcome !== 'adopted').length);
      const recovered = runtime.recovery.report!.components.flatMap(({ failed }) => failed);
      expect(recovered.filter(({ reason }) => !reason.startsWith('There is no flow'))).toEqual([]);
      await study.test.advance('2d');
      expect(await runtime.quarantine.list()).toHaveLength(aside.length);

      await study.test.stop();
      study = undefined;
      legacy.remove();
    }),
    { numRuns: 20, seed: 20_261_125, endOnFailure: true },
  );
});
