/**
 * The kill campaign: people chat with the real server over HTTP in scaled time, in both flows, while it is killed again and
 * again at random moments. Each sender repeats a message until it is acknowledged, as channels do. In the end the database
 * is held against the campaign's own record.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import createKnex, { type Knex } from 'knex';
import { Refused, Server } from './server.ts';

export interface CampaignReport {
  kills: number;
  acknowledged: number;
  redelivered: number;
  turns: number;
  deadlinesFired: number;
  deadlinesCompared: number;
  sent: number;
  /** What is wrong; empty when every promise held. */
  violations: string[];
}

interface Person {
  id: string;
  phone: string;
  flow: 'intervention' | 'conversation';
  /** Message ids in the order in which they were acknowledged. */
  acknowledged: { id: string; text: string; status: string }[];
}

const WORDS = ['1', '2', '3', '4', 'ready', 'done', 'no', 'yes', 'bananas', 'Let’s do it', 'it was raining'];

/** @param seed decides what people say and when the server is killed */
export async function campaign({
  kills,
  seed,
  people = 8,
}: {
  kills: number;
  seed: number;
  people?: number;
}): Promise<CampaignReport> {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-kill-'));
  const random = generator(seed);
  const file = join(folder, 'study.db');
  const violations: string[] = [];
  const state: { server: Server | undefined; over: boolean } = { server: undefined, over: false };
  let redelivered = 0;
  let compared = 0;
  try {
    // Half an hour a second: a 15-minute deadline takes 0.5 s, so that kills fall before, on and after deadlines.
    state.server = await Server.start(file, '--time-scale', '1800');
    const persons: Person[] = [];
    for (let i = 0; i < people; i++) {
      const flow = i % 3 === 2 ? 'conversation' : 'intervention';
      const phone = `+1555${2_000_000 + i}`;
      const { id } = await state.server.call(`/${flow}/participants`, {
        phone_number: phone,
        timezone: 'Europe/Berlin',
      });
      persons.push({ id, phone, flow, acknowledged: [] });
    }

    const chat = async (person: Person): Promise<void> => {
      for (let n = 0; !state.over; n++) {
        const message = {
          channel: 'sms',
          id: `${person.phone}-${n}`,
          from: person.phone,
          text: person.flow === 'conversation' ? `message ${n}` : WORDS[Math.floor(random() * WORDS.length)]!,
        };
        for (let attempt = 0; ; attempt++) {
          try {
            if (!state.server) throw new Error('down');
            const { status } = await state.server.call('/messages', message);
            person.acknowledged.push({ id: message.id, text: message.text, status });
            if (attempt > 0) redelivered++;
            break;
          } catch (error) {
            if (error instanceof Refused && error.status !== 503)
              violations.push(`${message.id} was refused: ${error.message}`);
            if (error instanceof Refused && error.status !== 503) break;
            await delay(10);
          }
        }
        // Some answers come too late.
        await delay(random() < 0.2 ? 400 + random() * 1200 : random() * 60);
      }
    };
    const chats = persons.map(chat);

    for (let kill = 0; kill < kills; kill++) {
      await delay(30 + random() * 500);
      // What is asked for is what was committed before the kill; turns may follow, hence the comparison by version.
      const before = await timersOf(state.server!);
      const dying = state.server!;
      state.server = undefined;
      await dying.kill();
      state.server = await Server.start(file);
      const after = new Map((await timersOf(state.server)).map((timer) => [timer.id, timer]));
      for (const timer of before) {
        const same = after.get(timer.id);
        if (!same) continue;
        compared++;
        if (same.due_at_ms !== timer.due_at_ms)
          violations.push(`the deadline ${timer.id} moved from ${timer.due_at_ms} to ${same.due_at_ms}`);
      }
    }
    state.over = true;
    await Promise.all(chats);
    await delay(300);
    const code = await state.server!.terminate();
    if (code !== 0) violations.push(`SIGTERM ended the server with ${code}`);

    const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
    const counts = await audit(knex, persons, violations).finally(() => knex.destroy());
    const acknowledged = persons.reduce((sum, person) => sum + person.acknowledged.length, 0);
    return { kills, acknowledged, redelivered, deadlinesCompared: compared, ...counts, violations };
  } finally {
    state.over = true;
    await state.server?.kill().catch(() => {});
    rmSync(folder, { recursive: true, force: true });
  }
}

async function timersOf(server: Server): Promise<{ id: string; due_at_ms: number }[]> {
  return server.call('/timers');
}

/** States that are never entered without a word. */
const SPEAKING =
  /(COMMITMENT_PROMPT|FEELING_PROMPT|SEND_INTERVENTION_\w+|DID_YOU_GET_A_CHANCE|CONTEXT_QUESTION|MOOD_QUESTION|BARRIER_CHECK_AFTER_CONTEXT_MOOD)/;

async function audit(knex: Knex, persons: Person[], violations: string[]) {
  let [turns, deadlinesFired] = [0, 0];
  const outbox = await knex('outbox_messages').orderBy('id');
  const keys = new Set(outbox.map((row) => row.idempotency_key));
  // Of a key, which is the actor, its life, the version and a number: the turn that it was said in.
  const spoken = new Set(outbox.map((row) => row.idempotency_key.replace(/^([^:]+):[^:]+:(\d+):.*$/, '$1:$2')));
  if (keys.size < outbox.length) violations.push('two messages have one idempotency key');
  for (const row of outbox) if (row.status !== 'sent') violations.push(`message ${row.id} is ${row.status}`);

  for (const person of persons) {
    const row = await knex('flow_states').where({ participant_id: person.id }).first();
    if (row.status !== 'active') violations.push(`${person.id} is ${row.status}: ${row.last_error}`);

    const inbox = await knex('flow_journal as j')
      .join('inbox as i', 'i.id', 'j.inbox_id')
      .where({ 'j.participant_id': person.id, 'i.channel': 'sms' })
      .orderBy('i.id')
      .select('i.message_id');
    const applied = inbox.map(({ message_id }) => message_id);
    if (new Set(applied).size < applied.length) violations.push(`${person.id} has a message twice`);
    const lost = person.acknowledged.filter(({ id }) => !applied.includes(id));
    for (const { id } of lost) violations.push(`${id} was acknowledged and is lost`);

    const journal = await knex('flow_journal').where({ participant_id: person.id }).orderBy('id');
    turns += journal.length;
    for (const [i, line] of journal.entries()) {
      if (line.version !== i + 1) violations.push(`${person.id}: turn ${i + 1} has version ${line.version}`);
      const previous = journal[i - 1];
      if (previous && previous.to_state !== line.from_state)
        violations.push(`${person.id}: turn ${line.version} starts from ${line.from_state}`);
      if (line.from_state !== line.to_state && SPEAKING.test(line.to_state) && !spoke(spoken, line)) {
        violations.push(`${person.id}: entered ${line.to_state} without a message`);
      }
    }
    if (journal.length !== row.version)
      violations.push(`${person.id} has version ${row.version} and ${journal.length} turns`);

    const fired = journal.filter(({ due_at }) => due_at !== null);
    deadlinesFired += fired.length;
    for (const { event_type, at, due_at } of fired) {
      if (at < due_at) violations.push(`${person.id}: ${event_type} fired ${due_at - at} ms early`);
    }
    const instants = fired.map(({ event_type, due_at }) => `${event_type}@${due_at}`);
    if (new Set(instants).size < instants.length) violations.push(`${person.id}: a deadline fired twice`);

    if (person.flow === 'conversation') auditConversation(person, row, violations);
  }
  return { turns, deadlinesFired, sent: outbox.length };
}

const spoke = (turns: Set<string>, line: { flow_type: string; participant_id: string; version: number }) =>
  turns.has(`${line.flow_type}/${line.participant_id}:${line.version}`);

/** The history holds what the person said, in order, once each. */
function auditConversation(person: Person, row: { state_data: string }, violations: string[]): void {
  const { conversationHistory, pendingMessages } = JSON.parse(row.state_data).snapshot.context;
  const heard = [...conversationHistory, ...pendingMessages]
    .filter(({ role }) => role === 'user')
    .map(({ content }) => content);
  const said = person.acknowledged.map(({ text }) => text).slice(-heard.length);
  if (JSON.stringify(heard) !== JSON.stringify(said)) {
    violations.push(`${person.id} said ${said.join(', ')}; the history has ${heard.join(', ')}`);
  }
}

/** Numbers in [0, 1), the same for one seed (mulberry32). */
function generator(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
