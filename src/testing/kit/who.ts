/** Whom a test means: by a handle, an address, or the id of a participant. */
import type { Knex } from 'knex';
import { type Address, formatAddress, InvalidArgumentError } from '../../errors.ts';
import { ActorHandle } from '../../runtime/handle.ts';
import { addressOf } from '../../store/rows.ts';

/** A handle, an address (`'appointment/ada'` as a text), or a participant's id, for all that the participant has. */
export type Who = ActorHandle<any> | Address | string;

/**
 * The actors that are meant; there is at least one.
 * @throws {InvalidArgumentError} there is none; the message says which there are
 */
export async function actorsOf(knex: Knex, who: Who): Promise<Address[]> {
  const rows = await knex('flow_states').select('participant_id', 'flow_type').orderBy('id');
  const all: Address[] = rows.map(addressOf);
  const meant = all.filter((address) => means(who, address));
  if (meant.length > 0) return meant;
  const there = all.slice(0, 10).map(formatAddress).join(', ');
  throw new InvalidArgumentError(
    `There is no actor ${nameOf(who)} in this test. ${there ? `There are: ${there}${all.length > 10 ? ', …' : ''}.` : 'There is none at all: spawn it first.'}`,
  );
}

/**
 * The one actor that is meant.
 * @throws {InvalidArgumentError} there is none, or the participant has several
 */
export async function actorOf(knex: Knex, who: Who): Promise<Address> {
  if (typeof who !== 'string') return who instanceof ActorHandle ? who.address : who;
  const [first, ...others] = await actorsOf(knex, who);
  if (others.length === 0) return first!;
  const names = [first!, ...others].map((address) => `'${formatAddress(address)}'`).join(', ');
  throw new InvalidArgumentError(`'${who}' has several actors: ${names}. Say which one is meant.`);
}

export function means(who: Who, address: Address): boolean {
  if (typeof who === 'string') return who === address.participantId || who === formatAddress(address);
  const { flowType, participantId } = who instanceof ActorHandle ? who.address : who;
  return flowType === address.flowType && participantId === address.participantId;
}

const nameOf = (who: Who) =>
  typeof who === 'string' ? `'${who}'` : formatAddress(who instanceof ActorHandle ? who.address : who);
