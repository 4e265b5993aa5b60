/** How changes beside turns are written; see ../rows.ts. */
import type { Knex } from 'knex';
import { formatAddress } from '../../errors.ts';
import { type Change, NothingToChangeError } from '../rows.ts';
import type { Connection } from './connection.ts';

/** A literal, so that the partial index serves. */
export const UNSENT = "status IN ('pending', 'sending')";
/** As {@link UNSENT}. */
export const UNDELIVERED = "status IN ('failed', 'held', 'waiting')";
/** As {@link UNSENT}. */
const WAITING = "status = 'waiting'";

/**
 * Writes a change into the transaction that is open.
 * @returns false: the row has another version
 * @throws {NothingToChangeError}
 */
export async function writeChange(connection: Connection, knex: Knex, change: Change): Promise<boolean> {
  /** How many rows it changed. */
  const run = async (query: Knex.QueryBuilder) => Number(await connection.query(query));
  const outbox = () => knex('outbox_messages');
  const must = async (query: Knex.QueryBuilder) => {
    if ((await run(query)) === 0) throw new NothingToChangeError(change);
  };
  switch (change.kind) {
    case 'rewrite': {
      const { id, version, set } = change;
      return (await run(knex('flow_states').where({ id, version }).update(set))) > 0;
    }
    case 'keepResults': {
      const state_data = knex.raw(`json_set(state_data, '$.results', json(?))`, [change.results]);
      await run(knex('flow_states').where({ id: change.id }).update({ state_data }));
      break;
    }
    case 'letWait': {
      const { recipient, patience, error: last_error, at: updated_at } = change;
      const next_attempt_at = patience === null ? null : knex.raw('created_at + ?', [patience]);
      const waits = { status: 'waiting', next_attempt_at, last_error, updated_at };
      await run(outbox().where({ kind: 'event', recipient }).whereRaw(UNSENT).update(waits));
      break;
    }
    case 'takeUp': {
      const goes = { status: 'pending', next_attempt_at: null };
      await run(outbox().where({ recipient: change.recipient }).whereRaw(WAITING).update(goes));
      break;
    }
    case 'optOut': {
      const { forms, address, source, at } = change;
      await run(knex('opt_outs').whereIn('address', forms).delete());
      await run(knex('opt_outs').insert({ address, opted_out_at: at, source }));
      await run(
        outbox()
          .whereIn('recipient', forms)
          .where({ kind: 'message', status: 'pending' })
          .whereRaw(UNSENT)
          .whereNot('payload', 'like', '%"essential":true%')
          .update({ status: 'cancelled', last_error: 'The recipient opted out.', updated_at: at }),
      );
      break;
    }
    case 'optIn':
      await run(knex('opt_outs').whereIn('address', change.forms).delete());
      break;
    case 'unbind':
      await run(knex('response_handlers').where(rowsOf(change.actor)).delete());
      break;
    case 'erase': {
      const row = knex('flow_states').where(rowsOf(change.actor)).first('id');
      if (change.left && (await connection.query(row))) break;
      for (const table of ['dead_letters', 'response_handlers', 'outbox_messages', 'flow_journal', 'flow_states'])
        await run(knex(table).where(rowsOf(change.actor)).delete());
      // What other actors have sent it is theirs, and does not reach a later one at its address.
      const events = { kind: 'event', recipient: formatAddress(change.actor) };
      const gone = { status: 'cancelled', next_attempt_at: null, last_error: 'The receiver was removed.' };
      for (const unsent of [UNSENT, WAITING]) await run(outbox().where(events).whereRaw(unsent).update(gone));
      break;
    }
    case 'letter':
      await must(knex('dead_letters').where({ id: change.id, status: 'open' }).update(change.set));
      break;
    case 'resend': {
      const { id, of, at: updated_at, unlessOptedOut } = change;
      const attempts = knex.raw('max(attempts, 1)'); // one that is held may have been sent
      const again = { status: 'pending', next_attempt_at: null, updated_at };
      await must(
        outbox()
          .where({ id })
          .whereRaw(UNDELIVERED)
          .whereNotExists(knex('opt_outs').whereIn('address', unlessOptedOut).select('address'))
          .update(of === 'message' ? { ...again, attempts, attempts_before: attempts } : again),
      );
      break;
    }
    case 'giveUp': {
      const { id, error: last_error, at: updated_at } = change;
      const off = { status: 'cancelled', next_attempt_at: null, last_error, updated_at };
      await must(outbox().where({ id }).whereRaw(UNDELIVERED).update(off));
      break;
    }
    case 'setting': {
      const row = { key: change.key, value: JSON.stringify(change.value) };
      await run(knex('runtime_settings').insert(row).onConflict('key').merge());
      break;
    }
  }
  return true;
}

const rowsOf = ({ participantId, flowType }: { participantId: string; flowType: string }) => ({
  participant_id: participantId,
  flow_type: flowType,
});
