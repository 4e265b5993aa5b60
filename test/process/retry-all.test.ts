import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Study } from '../evolution/study.ts';

describe('quarantine retry for many', { timeout: 120_000 }, () => {
  let study: Study;
  const MODULE = 'export const v1 = bookingV1;';
  beforeEach(async () => {
    study = new Study();
    await study.fill();
    await study.multiply(150);
    await study.read(async (knex) => {
      await knex('flow_states').update({ status: 'quarantined', last_error: 'a bug', next_due_at: null });
      await knex('flow_states').where({ participant_id: 'p_7' }).update({ state_data: '{' });
    });
  });
  afterEach(() => study.remove());
  const left = () => study.read((knex) => knex('flow_states').where({ status: 'quarantined' }).pluck('participant_id'));

  it('lets everybody go on who can, shows how far it is, and names who cannot', async () => {
    const { code, output, errors } = await study.run(
      'quarantine',
      'retry',
      study.module(MODULE),
      '--all',
      '-d',
      study.file,
    );
    expect(errors).toBe('99 go on, 1 stay in quarantine\n152 go on, 1 stay in quarantine\n');
    expect(output).toMatch(/^booking\/p_7 stays in quarantine: .*not readable/);
    expect(code).toBe(2);
    expect(await left()).toEqual(['p_7']);
  });

  it('narrows to a flow, and answers programs', async () => {
    const module = study.module(MODULE);
    const other = await study.run('quarantine', 'retry', module, '--flow', 'other', '--json', '-d', study.file);
    expect(JSON.parse(other.output)).toEqual({ retried: [], refused: [] });
    expect(await left()).toHaveLength(153);
    const { output } = await study.run('quarantine', 'retry', module, '--flow', 'booking', '--json', '-d', study.file);
    expect(JSON.parse(output)).toMatchObject({ refused: [{ actor: 'booking/p_7' }] });
    expect(await left()).toEqual(['p_7']);
  });

  it('asks for an actor where nobody is named', async () => {
    const { code, errors } = await study.run('quarantine', 'retry', '-d', study.file);
    expect(code).toBe(1);
    expect(errors).toContain('Name the actor, like conversation/p_1; or say --all');
  });
});
