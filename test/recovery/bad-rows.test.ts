import type { Knex } from 'knex';
import { afterEach, describe, expect, it } from 'vitest';
import { createConversationFlow } from '../../src/flows/conversation.ts';
import { offlineResponder } from '../../src/flows/generator.ts';
import { microHealthInterventionFlow as flow } from '../../src/flows/micro-health-intervention.ts';
import { Participants } from '../../src/flows/participants.ts';
import { ConversationFlowRecovery, MicroHealthInterventionRecovery } from '../../src/flows/recovery.ts';
import { formatReport, type RecoveryReport, type Runtime } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const conversation = createConversationFlow({ generate: offlineResponder });

let test: TestRuntime;
afterEach(() => test.stop());

async function begin(): Promise<Participants> {
  test = await createTestRuntime({
    flows: [flow, conversation],
    recovery: { mode: 'verify', rate: Number.POSITIVE_INFINITY },
    prepare: (runtime: Runtime) => {
      runtime.recovery.registerRecoverable(new MicroHealthInterventionRecovery());
      runtime.recovery.registerRecoverable(new ConversationFlowRecovery(conversation));
    },
  });
  return new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
}

const phone = (i: number) => `+1555${String(2_000_000 + i)}`;
const rows = (knex: Knex, id: string) => knex('flow_states').where({ participant_id: id });

/** Lets the earliest deadline of a row be another one, as if it had been written so. */
async function dueAt(knex: Knex, id: string, instant: number) {
  const { state_data } = await rows(knex, id).first();
  const stored = JSON.parse(state_data);
  stored.timers[0].dueAt = instant;
  await rows(knex, id).update({ state_data: JSON.stringify(stored), next_due_at: instant });
}

interface Kind {
  /** Makes a participant's data bad. */
  spoil(knex: Knex, id: string, other: string): Promise<unknown>;
  reason: RegExp;
  /** Where the report names it. */
  where: 'failed' | 'notices';
  status?: string;
  /** It goes on as if nothing were. */
  works?: true;
}

const change = (edit: (stored: any) => void) => async (knex: Knex, id: string) => {
  const { state_data } = await rows(knex, id).first();
  const stored = JSON.parse(state_data);
  edit(stored);
  await rows(knex, id).update({ state_data: JSON.stringify(stored) });
};

const kinds: Record<string, Kind> = {
  'truncated JSON': {
    spoil: (knex, id) => rows(knex, id).update({ state_data: knex.raw('substr(state_data, 1, 100)') }),
    reason: /not readable/,
    where: 'failed',
    status: 'quarantined',
  },
  'a state that no longer exists': {
    spoil: change((stored) => {
      stored.snapshot.value = { participating: { day: 'HABIT_REMINDER', week: 'counting' } };
    }),
    reason: /HABIT_REMINDER|state/,
    where: 'failed',
    status: 'quarantined',
  },
  'a context of the wrong shape': {
    spoil: change((stored) => {
      stored.snapshot.context.timesCompletedToday = 'twice';
    }),
    reason: /"twice" as timesCompletedToday/,
    where: 'failed',
    status: 'quarantined',
  },
  'a context that is none': {
    spoil: change((stored) => {
      stored.snapshot.context = [];
    }),
    reason: /context is \[\]/,
    where: 'failed',
    status: 'quarantined',
  },
  'an unknown flow type': {
    spoil: (knex, id) => rows(knex, id).update({ flow_type: 'smoking_cessation' }),
    reason: /no flow 'smoking_cessation'/,
    where: 'failed',
    status: 'active',
  },
  'a row without participant': {
    spoil: (knex, id) => knex('intervention_participants').where({ id }).delete(),
    reason: /none in intervention_participants/,
    where: 'failed',
    status: 'quarantined',
  },
  'a participant without row': {
    spoil: (knex, id) => rows(knex, id).delete(),
    reason: /of the flow .* none in flow_states/,
    where: 'failed',
  },
  'a deadline of 1970': {
    spoil: (knex, id) => dueAt(knex, id, 36_000),
    reason: /1970-01-01/,
    where: 'failed',
    status: 'quarantined',
  },
  'a deadline of 9999': {
    spoil: (knex, id) => dueAt(knex, id, Date.UTC(9999, 11, 31)),
    reason: /9999-12-31/,
    where: 'notices',
    status: 'active',
  },
  'a duplicated phone number': {
    spoil: async (knex, id, other) => rows(knex, id).update({ address: (await rows(knex, other).first()).address }),
    reason: /belongs to p_\w+ as well/,
    where: 'failed',
    status: 'active',
    works: true,
  },
  'a handler that expired': {
    spoil: async (knex, id) => {
      await rows(knex, id).update({ updated_at: '2025-06-01T00:00:00.000Z' });
      await knex('response_handlers')
        .where({ participant_id: id })
        .update({ expires_at: Date.UTC(2025, 5, 3) });
    },
    reason: /expired/,
    where: 'notices',
    status: 'active',
    works: true,
  },
  'a phone number that is not bound': {
    spoil: (knex, id) => knex('response_handlers').where({ participant_id: id }).delete(),
    reason: /was not bound/,
    where: 'notices',
    status: 'active',
    works: true,
  },
  'a column that does not say what the snapshot says': {
    spoil: (knex, id) => rows(knex, id).update({ next_due_at: null }),
    reason: /another next_due_at than its snapshot/,
    where: 'notices',
    status: 'active',
    works: true,
  },
};

/** What the report says of each participant, in one text. */
function findings(report: RecoveryReport, where: Kind['where']): Map<string, string> {
  const said = new Map<string, string>();
  for (const { participantId, reason, action } of report.components.flatMap((component) => component[where]))
    said.set(participantId, `${said.get(participantId) ?? ''}${reason} → ${action}\n`);
  return said;
}

describe('bad rows: each is named, and nobody else is harmed', () => {
  it.each(Object.entries(kinds))('%s', async (_, kind) => {
    const participants = await begin();
    const ids: string[] = [];
    for (let i = 0; i < 3; i++)
      ids.push((await participants.enrolInIntervention({ phone_number: phone(i), timezone: 'UTC' })).id);
    const [bad, ...good] = ids as [string, string, string];
    await kind.spoil(test.knex, bad, good[0]!);
    await test.crash();
    await test.restart();

    const { report } = test.runtime.recovery;
    const found = findings(report!, kind.where).get(bad);
    expect(found).toMatch(kind.reason);
    expect(found).not.toContain('would be');
    expect(formatReport(report!)).toContain(bad);
    expect(report!.ok).toBe(kind.where === 'notices');
    for (const id of good) expect(findings(report!, 'failed').has(id)).toBe(false);
    expect((await rows(test.knex, bad).first())?.status).toBe(kind.status);

    await test.advanceTo(Date.UTC(2026, 0, 1, 10, 1));
    for (const id of kind.works ? ids : good) {
      const { state } = await test.actor(flow, id).describe();
      expect(state).toContain('COMMITMENT_PROMPT');
    }
  });

  it('a dry run finds the same, and changes nothing', async () => {
    const participants = await begin();
    const ids: string[] = [];
    const all = Object.values(kinds);
    for (let i = 0; i <= all.length; i++)
      ids.push((await participants.enrolInIntervention({ phone_number: phone(i) })).id);
    for (const [i, kind] of all.entries()) await kind.spoil(test.knex, ids[i]!, ids.at(-1)!);
    const tables = () => Promise.all(['flow_states', 'response_handlers', 'flow_journal'].map((t) => test.knex(t)));
    const before = await tables();
    const report = await test.runtime.recover({ dryRun: true });
    expect(await tables()).toEqual(before);
    for (const [i, kind] of all.entries()) expect(findings(report, kind.where).get(ids[i]!)).toMatch(kind.reason);
    expect(report.dryRun).toBe(true);
    expect(findings(report, 'failed').get(ids[0]!)).toContain('would be quarantined');
  });

  it('10,000 participants, of whom one in a hundred has each of these', async () => {
    const N = 10_000;
    const participants = await begin();
    const ids = await Promise.all(
      Array.from(
        { length: N },
        async (_, i) => (await participants.enrolInIntervention({ phone_number: phone(i) })).id,
      ),
    );
    const bad = new Map<string, Kind>();
    const all = Object.values(kinds);
    await test.knex.transaction(async (trx) => {
      for (let i = 0; i < N; i++) {
        const kind = all[i % 100];
        if (!kind) continue;
        bad.set(ids[i]!, kind);
        await kind.spoil(trx as never, ids[i]!, ids[i - (i % 100) + 99]!);
      }
    });
    const deleted = [...bad.values()].filter((kind) => kind.status === undefined).length;
    await test.crash();
    await test.restart();

    const report = test.runtime.recovery.report!;
    const said = { failed: findings(report, 'failed'), notices: findings(report, 'notices') };
    for (const [id, kind] of bad) expect(said[kind.where].get(id)).toMatch(kind.reason);
    const listed = report.components.flatMap(({ failed, notices }) => [...failed, ...notices]);
    expect(new Set(listed.map(({ participantId }) => participantId))).toEqual(new Set(bad.keys()));
    expect(await test.knex('flow_states').count('* as n').first()).toEqual({ n: N - deleted });

    await test.advanceTo(Date.UTC(2026, 0, 1, 10, 1));
    const prompted: string[] = await test
      .knex('flow_states')
      .where('current_state', 'like', '%COMMITMENT_PROMPT%')
      .pluck('participant_id');
    const works = ids.filter((id) => bad.get(id)?.works ?? !bad.has(id));
    expect(new Set(prompted)).toEqual(new Set(works));
  });
});
