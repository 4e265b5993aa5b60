/**
 * Bugs that are known, planted one by one into the source: what a simulator does not find in them, it will not
 * find elsewhere.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { bundle, type Change } from './bundle.ts';

export interface PlantedBug extends Change {
  name: string;
  /** It takes more than two thousand schedules. */
  rare?: true;
}

/** How a bug was found; `undefined`: it was not. */
export interface Finding {
  seed: number;
  schedules: number;
  message: string;
}

export const PLANTED: readonly PlantedBug[] = [
  {
    name: 'a turn counts as committed before it is',
    file: 'src/engine/group-commit.ts',
    find: 'this.#open.add(commit);',
    replace: "this.#open.add(commit); resolve({ result: 'committed' });",
  },
  {
    name: 'a state that is left does not cancel its deadlines',
    file: 'src/actor/live-actor.ts',
    find: 'cancel: (source: AnyActorRef, id: string) => this.#timers.cancel(source, id),',
    replace: 'cancel: () => {},',
  },
  {
    name: 'a restart arms deadlines anew, with a delay of their own',
    file: 'src/actor/live-actor.ts',
    find: 'return { id, event, dueAt, source: from, target: to, stray: stray ?? false };',
    replace: 'return { id, event, dueAt: dueAt + 1_000, source: from, target: to, stray: stray ?? false };',
  },
  {
    name: 'a deadline fires a little early',
    file: 'src/actor/live-actor.ts',
    find: 'if (!timer || timer.dueAt > ambient.now()) return nothing();',
    replace: 'if (!timer || timer.dueAt > ambient.now() + 60_000) return nothing();',
  },
  {
    name: 'an event overtakes a deadline that has passed',
    file: 'src/engine/turn-maker.ts',
    find: "work.stimulus.kind === 'timer' || !isDue(",
    replace: "work.stimulus.kind !== 'stop' || !isDue(",
  },
  {
    name: 'deadlines are not looked for at a start',
    file: 'src/engine/deadlines.ts',
    find: 'await this.#look();\n    this.#backlog.start();',
    replace: '',
  },
  {
    name: 'an inbound message is applied without its mark',
    file: 'src/engine/composer.ts',
    find: 'if (work.inbound) commit.inbound =',
    replace: 'if (work.inbound && work.stimulus.kind === "timer") commit.inbound =',
  },
  {
    name: 'a mark that is there already is no hindrance',
    file: 'src/store/sqlite/commit.ts',
    find: "if (commit.inbound && !taken.has(commit.inbound.id)) losers.set(commit, { result: 'duplicate' });",
    replace: '',
  },
  {
    name: 'messages are not written with their turn',
    file: 'src/store/sqlite/commit.ts',
    find: '[sql.insertOutbox, every(group, (commit) => commit.outbox)],',
    replace: '',
  },
  {
    name: 'a message that may have been sent is not marked so after a crash',
    file: 'src/engine/outbox.ts',
    find: 'maybeSent: uncertain || row.attempts > 0',
    replace: 'maybeSent: false',
  },
  {
    name: 'a new message goes before those that wait',
    file: 'src/engine/unsent.ts',
    find: '    queue.pending.push(pending);',
    replace: '    queue.pending.splice(1, 0, pending);',
  },
  {
    name: 'messages of a commit whose answer was lost are forgotten',
    file: 'src/engine/after-commit.ts',
    find: 'if (outbox)\n      this.#options.outbox.doubt(',
    replace: 'if (outbox && !committed)\n      this.#options.outbox.doubt(',
  },
  {
    name: 'who has opted out before a restart is not asked for after it',
    file: 'src/messaging/inbound.ts',
    find: 'this.#setOptedOut(address, await store.hasOptedOut(formsOf(address)));',
    replace: 'this.#setOptedOut(address, false);',
    rare: true,
  },
  {
    name: 'a word of STOP that is repeated late counts anew',
    file: 'src/messaging/inbound.ts',
    find: "if (first.duplicate) return { status: 'duplicate', handled: false };\n    this.#setOptedOut(sender, out);",
    replace: 'this.#setOptedOut(sender, out);',
    rare: true,
  },
  {
    name: 'invocations are not started again after a crash',
    file: 'src/engine/engine.ts',
    find: 'await this.#alarms.start();\n    this.#orphans.start();',
    replace: 'await this.#alarms.start();',
    rare: true,
  },
  {
    name: 'a promise starts before its turn has committed',
    file: 'src/engine/turn-maker.ts',
    find: 'return { turn, commit: this.#composer.turn(cell, step, turn, before, ambient.now()) };',
    replace:
      'const commit = this.#composer.turn(cell, step, turn, before, ambient.now()); if (commit) cell.processes.start(live.root); return { turn, commit };',
  },
  {
    name: 'of a group of turns, only the first one has its line in the journal',
    file: 'src/store/sqlite/commit.ts',
    find: '[sql.insertJournal, every(group, (commit) => commit.journal)],',
    replace: '[sql.insertJournal, every(group, (commit) => commit.journal).slice(0, 1)],',
  },
  {
    name: 'a custom action runs in its turn, before the commit',
    file: 'src/actor/live-actor.ts',
    find: 'else {\n        this.#turn?.actions.push(() => {',
    replace:
      'else if (action.exec && this.#turn) action.exec(action.info, action.params);\n      else {\n        this.#turn?.actions.push(() => {',
  },
  {
    name: 'a turn that is done again draws other numbers',
    file: 'src/engine/chance.ts',
    find: '|$' + '{version}|$' + '{drawn++}`',
    replace: '|$' + '{Math.random()}|$' + '{drawn++}`',
  },
  {
    name: 'a bad row ends its recovery, and the start',
    file: 'src/engine/restore.ts',
    find: 'await rewriter.quarantine(cell, rest, error);\n        return;',
    replace: 'throw error;',
  },
  {
    name: 'a turn whose commit failed goes on from memory',
    file: 'src/engine/loop.ts',
    find: '        cell.forget();\n        if (isGeneral(outcome.error))',
    replace: '        if (isGeneral(outcome.error))',
  },
  {
    name: 'a transaction that was rolled back keeps its turns in memory',
    file: 'src/transaction/turns.ts',
    find: 'this.#open = false;\n    this.#doom ??=',
    replace: 'this.#open = false;\n    this.carryOut();\n    this.#doom ??=',
  },
  {
    name: 'the turns of a transaction are written outside of it',
    file: 'src/store/sqlite/store.ts',
    find: 'const former = this.#written++;',
    replace: "const former = this.#written++; if (former === 0) await connection.exec('COMMIT; BEGIN');",
  },
  {
    name: 'a promise is attempted once too often',
    file: 'src/actor/invocations.ts',
    find: 'const retry = attempt < attempts',
    replace: 'const retry = attempt <= attempts',
  },
  {
    name: 'a promise is given up after its first attempt',
    file: 'src/actor/processes.ts',
    find: 'policies().get(src),',
    replace: 'undefined,',
  },
  {
    name: 'what the carrier refused for good is tried again',
    file: 'src/engine/outbox.ts',
    find: 'cause instanceof PermanentSendError || isSpent',
    replace: 'isSpent',
  },
  {
    name: 'a message is tried again without a pause',
    file: 'src/engine/outbox.ts',
    find: 'if (row.next_attempt_at !== null && row.next_attempt_at >',
    replace: 'if (row.next_attempt_at !== null && row.attempts < 0 && row.next_attempt_at >',
  },
  {
    name: 'what may have been sent is sent again, and is to be held',
    file: 'src/engine/outbox.ts',
    find: 'const toHold = uncertain &&',
    replace: 'const toHold = false && uncertain &&',
  },
  {
    name: 'a turn is of an instant that is still to come',
    file: 'src/engine/turn-maker.ts',
    find: 'const at = this.#clock.now();\n    const { random',
    replace: 'const at = Math.ceil(this.#clock.now() / 1_000) * 1_000;\n    const { random',
  },
  {
    name: 'a deadline that was watched is passed over',
    file: 'src/engine/turn-maker.ts',
    find: ' || live.nextDueAt >= this.#options.alarms.since',
    replace: '',
  },
  {
    name: 'an alarm that is set late counts as one that comes late',
    file: 'src/engine/deadlines.ts',
    find: 'this.#expected = Math.max(now, at);',
    replace: 'this.#expected = at;',
    rare: true,
  },
  {
    name: 'the database is looked into for deadlines after they have passed',
    file: 'src/engine/deadlines.ts',
    find: 'const LEAD = HORIZON / 2;',
    replace: 'const LEAD = -3 * HORIZON;',
  },
  {
    name: 'a deadline that is to be skipped fires late',
    file: 'src/engine/turn-maker.ts',
    find: "if (overdue === 'fire' ||",
    replace: "if (typeof overdue === 'string' ||",
  },
  {
    name: 'custom actions never run',
    file: 'src/actor/live-actor.ts',
    find: 'for (const action of turn.actions) this.#attempt(action);',
    replace: '',
  },
  {
    name: 'the chain of the journal is broken',
    file: 'src/engine/composer.ts',
    find: 'id: update.journal_id,\n        previous_id: row.journal_id,',
    replace: 'id: update.journal_id,\n        previous_id: null,',
  },
  {
    name: 'a row is led over to the next version twice',
    file: 'src/engine/migrate-row.ts',
    find: '    last--;\n',
    replace:
      '    last--;\n    ({ snapshot: stored.snapshot } = understood(flow.migrate![last]!(stored.snapshot, {} as never), timers));\n',
  },
  {
    name: 'of the rows that a turn records, only the first one is written',
    file: 'src/engine/composer.ts',
    find: 'if (records.length > 0) commit.records = records;',
    replace: 'if (records.length > 0) commit.records = records.slice(0, 1);',
  },
  {
    name: 'what a turn projects takes the place of what it records',
    file: 'src/engine/composer.ts',
    find: 'commit.records = [...(commit.records ?? []), projection];',
    replace: 'commit.records = [projection];',
  },
  {
    name: 'a turn whose rows a constraint refuses is tried for ever',
    file: 'src/engine/loop.ts',
    find: 'return await failedTurns.settle(cell, item, overdue, outcome.error);',
    replace: 'return undefined;',
  },
  {
    name: 'an actor that fails is tried once too often',
    file: 'src/flow/supervision.ts',
    find: 'this.#times.length >= policy.maxRestarts',
    replace: 'this.#times.length > policy.maxRestarts',
  },
  {
    name: 'an actor that fails is tried again without its pause',
    file: 'src/flow/supervision.ts',
    find: 'return backoff(policy, this.#times.length, chance);',
    replace: 'return 0;',
  },
  {
    name: 'what is given up leaves no dead letter',
    file: 'src/store/sqlite/commit.ts',
    find: '[sql.insertDeadLetters, every(group, (commit) => commit.deadLetter)],',
    replace: '',
  },
  {
    name: 'a message is given up one attempt early',
    file: 'src/engine/outbox.ts',
    find: 'madeSince(row) >= attempts;',
    replace: 'madeSince(row) >= attempts - 1;',
  },
  {
    name: 'an event to an actor in quarantine is lost',
    file: 'src/engine/outbox.ts',
    find: 'await this.#await(queue, delivery.to, error, isUnknown);',
    replace: 'await this.#sent(row, ms);',
  },
  {
    name: 'an actor leaves memory while it is in use',
    file: 'src/engine/cells.ts',
    find: 'if (cell.holds > 0 || cell.processes.size > 0) return;',
    replace: 'if (cell.processes.size > 0) return;',
  },
  {
    name: 'a reader sees a turn before it is committed',
    file: 'src/engine/loop.ts',
    find: 'if (cell.live && !cell.busy) return readOf(cell);',
    replace: 'if (cell.live) return readOf(cell);',
  },
  {
    name: 'an actor that is removed leaves its journal behind',
    file: 'src/store/sqlite/changes.ts',
    find: "'outbox_messages', 'flow_journal', 'flow_states'",
    replace: "'outbox_messages', 'flow_states'",
  },
  {
    name: 'a second life gives its messages the keys of the first',
    file: 'src/store/rows.ts',
    find: '  `$' + '{id}.$' + '{Date.parse(created_at).toString(36)}`;',
    replace: "  id && created_at && '1.1';",
  },
  {
    name: 'of two who ensure an actor at once, one is refused',
    file: 'src/engine/loop.ts',
    find: 'if (error instanceof ActorExistsError) return false; // somebody else was faster',
    replace: '',
  },
  {
    name: 'who ensures an actor that is there is told to have made it',
    file: 'src/engine/loop.ts',
    find: '(cell) => this.#exists(cell))) return false;',
    replace: '(cell) => this.#exists(cell))) return true;',
  },
  {
    name: 'an actor that is discarded counts as put aside in memory',
    file: 'src/engine/commands.ts',
    find: '    this.#leave(address);\n    this.#options.outbox.wake(',
    replace: '    this.#options.outbox.wake(',
  },
  {
    name: 'a dead letter that was retried stays open',
    file: 'src/operations/dead-letters.ts',
    find: "        also: [this.#resolved(id, { status: 'retried' })],\n",
    replace: '',
  },
  {
    name: 'a dead letter that throws again counts as retried',
    file: 'src/operations/dead-letters.ts',
    find: 'set: { error: message } }',
    replace: "set: { error: message, status: 'retried' } }",
  },
  {
    name: 'a dead letter is decided on by each of two who do so at once',
    file: 'src/store/sqlite/changes.ts',
    find: "id: change.id, status: 'open' }",
    replace: 'id: change.id }',
  },
  {
    name: 'a message that is sent again is not marked as one that may have been sent',
    file: 'src/store/sqlite/changes.ts',
    find: "knex.raw('max(attempts, 1)')",
    replace: '0',
  },
  {
    name: 'a message that is sent again has another key',
    file: 'src/store/sqlite/changes.ts',
    find: "const again = { status: 'pending',",
    replace: "const again = { status: 'pending', idempotency_key: knex.raw(`idempotency_key || '+'`),",
  },
  {
    name: 'nobody looks for a message that is to be sent again',
    file: 'src/operations/undelivered.ts',
    find: 'engine.outbox.refresh(row);',
    replace: '',
  },
  {
    name: 'a message that is given up is sent again',
    file: 'src/store/sqlite/changes.ts',
    find: "const off = { status: 'cancelled',",
    replace: "const off = { status: 'pending',",
  },
  {
    name: 'an event waits for deadlines that fall due behind it',
    file: 'src/engine/turn-maker.ts',
    find: 'work.awaits === 0 || work.stimulus',
    replace: 'work.stimulus',
  },
  {
    name: 'an actor that runs away is told of, and not slowed down',
    file: 'src/engine/loop.ts',
    find: 'if (notBefore > clock.now()) return alarms',
    replace: 'if (notBefore === 0) return alarms',
  },
];

/**
 * Plants a bug and lives through schedules until one finds it.
 * @throws if the source has no place, or several, for it: the bug must be written anew
 */
export async function findBug(bug: PlantedBug, seeds: number): Promise<Finding | undefined> {
  const simulator = await bundle(`planted-${randomUUID()}`, bug);
  const options = [simulator, '--seeds', String(seeds), '--until-found', '--json'];
  try {
    const output = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, options, { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
        if (stdout.trim()) resolve(stdout);
        else reject(new Error(stderr, { cause: error }));
      });
    });
    const { failed, schedules } = JSON.parse(output) as { failed: Finding[]; schedules: number };
    return failed[0] && { ...failed[0], schedules };
  } finally {
    rmSync(simulator);
  }
}

/** Plants all, and tells what became of each as a table; false where one was not found. */
export async function findPlanted(seeds: number, tell: (line: string) => void): Promise<boolean> {
  tell('| planted bug | schedules until it was found | what the simulator said |');
  tell('| --- | ---: | --- |');
  let all = true;
  for (const bug of PLANTED) {
    const found = await findBug(bug, seeds);
    all &&= found !== undefined;
    const said = found ? found.message.split('\n')[0]!.replaceAll('|', '\\|') : '**not found**';
    tell(`| ${bug.name} | ${found ? found.schedules : `> ${seeds}`} | ${said} |`);
  }
  return all;
}
