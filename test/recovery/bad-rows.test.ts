import type { Knex } from 'knex';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeState } from '../../src/actor/codec.ts';
import { formatReport, type RecoveryMode, type RecoveryReport, type Runtime } from '../../src/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { offlineResponder } from '../../src/study/generator.ts';
import { microHealthInterventionFlow as flow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';
import { ConversationFlowRecovery, MicroHealthInterventionRecovery } from '../../src/study/recovery.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const conversation = createConversationFlow({ generate: offlineResponder });

let test: TestRuntime;
afterEach(() => test.stop());

async function begin(mode: RecoveryMode = 'verify'): Promise<Participants> {
  test = await createTestRuntime({
    flows: [flow, conversation],
    recovery: { mode, rate: Number.POSITIVE_INFINITY },
    prepare: (runtime: Runtime) => {
      runtime.recovery.registerRecoverable(new MicroHealthInterventionRecovery());
      runtime.recovery.registerRecoverable(new ConversationFlowRecovery(conversation));
    },
  });
  return new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
}

async function restarted(): Promise<RecoveryReport> {
  await test.crash();
  await test.restart();
  return test.runtime.recovery.report!;
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
  await rows(knex, id).update({ state_data: encodeState(stored) });
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
  'a state that is none': {
    spoil: change((stored) => {
      stored.snapshot.value = {};
    }),
    reason: /it is in \{\}, which is no state/,
    where: 'failed',
    status: 'quarantined',
  },
  'a snapshot that has ended, in a row that has not': {
    spoil: change((stored) => {
      stored.snapshot.status = 'done';
    }),
    reason: /row says that it goes on, and its snapshot that it is 'done'/,
    where: 'failed',
    status: 'quarantined',
  },
  'an unknown status': {
    spoil: (knex, id) => rows(knex, id).update({ status: 'asleep' }),
    reason: /'asleep' as its status/,
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
  'a context with what JSON cannot hold': {
    spoil: change((stored) => {
      stored.snapshot.context.timesCompletedToday = 1n;
    }),
    reason: /"1" as timesCompletedToday, and no number/,
    where: 'failed',
    status: 'quarantined',
  },
  'a deadline that is no instant': {
    spoil: change((stored) => {
      stored.timers[0].dueAt = 'tomorrow';
    }),
    reason: /"tomorrow" as its instant/,
    where: 'failed',
    status: 'quarantined',
  },
  'a deadline that is NaN': {
    spoil: change((stored) => {
      stored.timers[0].dueAt = Number.NaN;
    }),
    reason: /NaN as its instant/,
    where: 'failed',
    status: 'quarantined',
  },
  'an unknown flow type': {
    spoil: (knex, id) => rows(knex, id).update({ flow_type: 'smoking_cessation' }),
    reason:
      /none in flow_states, but one of the flow 'smoking_cessation'.* mend the flow_type of that row\n.*no flow 'smoking_cessation'/,
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
  'a handler that expired, though its actor runs': {
    spoil: (knex, id) => knex('response_handlers').where({ participant_id: id }).update({ expires_at: 1_000 }),
    reason: /expired at 1970-01-01T00:00:01.000Z; it lasts as long as the actor runs. → (would be )?renewed/,
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
    const report = await restarted();
    const found = findings(report, kind.where).get(bad);
    expect(found).toMatch(kind.reason);
    expect(found).not.toContain('would be');
    expect(formatReport(report)).toContain(bad);
    expect(report.ok).toBe(kind.where === 'notices');
    for (const id of good) expect(findings(report, 'failed').has(id)).toBe(false);
    expect((await rows(test.knex, bad).first())?.status).toBe(kind.status);

    await test.advanceTo(Date.UTC(2026, 0, 1, 10, 1));
    for (const id of kind.works ? ids : good) {
      const { state } = await test.actor(flow, id).describe();
      expect(state).toContain('COMMITMENT_PROMPT');
    }
  });

  it('a phone number that is none is bound to nobody, and named', async () => {
    const participants = await begin();
    const { id } = await participants.enrolInIntervention({ phone_number: phone(1) });
    await test.knex('response_handlers').delete();
    for (const [address, reason] of [
      ['unknown', /'unknown' is not a phone number.* → left as it is; mend its address/],
      [phone(1).slice(1), /counts as one from '\+1555.* → left as it is; mend its address/],
    ] as const) {
      await rows(test.knex, id).update({ address });
      for (const report of [await test.runtime.recover({ dryRun: true }), await restarted()])
        expect(findings(report, 'failed').get(id)).toMatch(reason);
    }
    expect(await test.knex('response_handlers')).toEqual([]);
  });

  it('a participant without row can be deleted and enrolled anew, as the report says', async () => {
    const participants = await begin();
    const { id } = await participants.enrolInIntervention({ phone_number: phone(1) });
    await rows(test.knex, id).delete();
    const report = await test.runtime.recover({ dryRun: true });
    expect(findings(report, 'failed').get(id)).toContain('delete it and enrol the person anew');
    await expect(participants.enrolInIntervention({ phone_number: phone(1) })).rejects.toMatchObject({
      code: 'PHONE_NUMBER_TAKEN',
    });
    expect(await participants.remove('intervention_participants', id)).toBe(true);
    expect(await test.knex('response_handlers')).toEqual([]);
    const again = await participants.enrolInIntervention({ phone_number: phone(1) });
    expect((await test.receive({ channel: 'sms', id: '1', from: phone(1), text: 'Ready' })).address).toMatchObject({
      participantId: again.id,
    });
    expect(await test.runtime.recover({ dryRun: true })).toMatchObject({ ok: true });
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

  /** Makes `count` participants out of one who was enrolled, and one of each hundred of them bad in each way. */
  async function crowd(mode: RecoveryMode, count: number) {
    const participants = await begin(mode);
    const { id } = await participants.enrolInIntervention({ phone_number: phone(count), timezone: 'UTC' });
    const { knex } = test;
    const ids = Array.from({ length: count }, (_, i) => `p_${i.toString(16).padStart(16, '0')}`);
    const multiply = async (table: string, own: Record<string, string>) => {
      const columns = Object.keys(await knex(table).columnInfo()).map((name) => own[name] ?? `t.${name}`);
      await knex.raw(
        `INSERT INTO ${table} SELECT ${columns.join()} FROM json_each(?) AS n JOIN ${table} AS t ON t.${table.endsWith('participants') ? 'id' : 'participant_id'} = ?`,
        [JSON.stringify(ids), id],
      );
    };
    const phones = `'+1555' || (2000000 + n.key)`;
    await multiply('flow_states', {
      id: 'n.key + 2',
      participant_id: 'n.value',
      state_data: `replace(t.state_data, '${id}', n.value)`,
      address: phones,
      journal_id: 'NULL',
    });
    await multiply('response_handlers', { phone_number: phones, participant_id: 'n.value' });
    await multiply('intervention_participants', { id: 'n.value', phone_number: phones });
    const bad = new Map<string, Kind>();
    const all = Object.values(kinds);
    await knex.transaction(async (trx) => {
      for (const [i, each] of ids.entries()) {
        const kind = all[i % 100];
        if (!kind) continue;
        bad.set(each, kind);
        await kind.spoil(trx as never, each, ids[i - (i % 100) + 99]!);
      }
    });
    const keys = async () => {
      const found: Record<string, unknown[]> = {};
      for (const [table, key] of Object.entries({
        flow_states: 'id',
        intervention_participants: 'id',
        response_handlers: 'phone_number',
        outbox_messages: 'id',
        flow_journal: 'id',
      }))
        found[table] = (await knex(table).orderBy(key).pluck(key)) as unknown[];
      return found;
    };
    return { ids, bad, keys };
  }

  /** Those who were prompted at their time, and those whose answer from their own phone brought them on. */
  async function working(ids: string[]): Promise<{ prompted: Set<string>; answered: Set<string> }> {
    await test.advanceTo(Date.UTC(2026, 0, 1, 10, 5));
    const at = async (state: string): Promise<Set<string>> =>
      new Set(await test.knex('flow_states').where('current_state', 'like', `%${state}`).pluck('participant_id'));
    const prompted = await at('COMMITMENT_PROMPT');
    const answers = ids.map((_, i) => ({ channel: 'sms', id: `SM${i}`, from: phone(i), text: '1' }));
    await Promise.all(answers.map((message) => test.receive(message).catch(() => undefined)));
    return { prompted, answered: await at('FEELING_PROMPT') };
  }

  const N = 4_000;

  it('4,000 participants, of whom one in a hundred has each of these', async () => {
    const { ids, bad, keys } = await crowd('verify', N);
    const before = await keys();
    await test.crash();
    await test.restart();

    const report = test.runtime.recovery.report!;
    const said = { failed: findings(report, 'failed'), notices: findings(report, 'notices') };
    for (const [id, kind] of bad) expect(said[kind.where].get(id)).toMatch(kind.reason);
    const listed = report.components.flatMap(({ failed, notices }) => [...failed, ...notices]);
    expect(new Set(listed.map(({ participantId }) => participantId))).toEqual(new Set(bad.keys()));
    const after = await keys();
    for (const [table, all] of Object.entries(before)) {
      const still = new Set(after[table]);
      expect(all.filter((key) => !still.has(key))).toEqual([]);
    }

    const { prompted, answered } = await working(ids);
    const works = new Set(ids.filter((id) => bad.get(id)?.works ?? !bad.has(id)));
    expect(new Set(ids.filter((id) => prompted.has(id)))).toEqual(works);
    expect(answered).toEqual(works);
  });

  it('a lazy start with them names what the indexes tell, and puts aside what cannot be restored when its time comes', async () => {
    const { ids, bad, keys } = await crowd('lazy', N / 10);
    const before = await keys();
    await test.crash();
    await test.restart();
    const failed = findings(test.runtime.recovery.report!, 'failed');
    const told = ['an unknown flow type', 'a deadline of 1970'].map((name) => kinds[name]!);
    expect(new Set(failed.keys())).toEqual(
      new Set([...bad].filter(([, kind]) => told.includes(kind)).map(([id]) => id)),
    );
    expect((await keys())['flow_states']).toEqual(before['flow_states']);

    const { prompted, answered } = await working(ids);
    const good = ids.filter((id) => !bad.has(id));
    expect(good.filter((id) => !prompted.has(id) || !answered.has(id))).toEqual([]);
    const aside = new Set(await test.knex('flow_states').where({ status: 'quarantined' }).pluck('participant_id'));
    for (const name of ['truncated JSON', 'a state that no longer exists', 'a context that is none'])
      expect([...bad].filter(([id, kind]) => kind === kinds[name] && !aside.has(id))).toEqual([]);
  });
});
