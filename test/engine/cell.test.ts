/** One actor as the engine holds it: what it keeps and lets go of when it is forgotten, or takes over another's place. */
import { describe, expect, it } from 'vitest';
import { fromCallback, fromPromise, setup } from 'xstate';
import { LiveActor } from '../../src/actor/live-actor.ts';
import { SimulatedClock } from '../../src/clock.ts';
import { Cell, type Row } from '../../src/engine/cell.ts';
import { Pauses } from '../../src/engine/pauses.ts';
import { Phase } from '../../src/engine/phase.ts';
import { Failures } from '../../src/flow/supervision.ts';
import { defineFlow, type InvocationPolicy } from '../../src/index.ts';

const tick = () => new Promise(setImmediate);
const address = { flowType: 'desk', participantId: 'ada' };

/** A cell whose actor has a promise that never ends by itself, and a callback; `heard` has what became of them. */
function begin() {
  const heard: string[] = [];
  let reject = (_error: Error) => {};
  const logic = setup({
    actors: {
      ask: fromPromise(({ signal }) => {
        heard.push('asked');
        signal.addEventListener('abort', () => heard.push('the question is withdrawn'));
        return new Promise((_, no) => {
          reject = no;
        });
      }),
      listen: fromCallback(() => {
        heard.push('listening');
        return () => heard.push('deaf');
      }),
    },
  }).createMachine({ invoke: [{ src: 'ask' }, { src: 'listen' }] });
  const flowOf = (version: number, ask: InvocationPolicy = {}) =>
    defineFlow({ type: 'desk', version, logic, invocations: { ask } });

  const clock = new SimulatedClock();
  const cell = new Cell(address, flowOf(1), {
    clock,
    chance: () => 0,
    settled: (_, { type, data }) => heard.push(`${type}: ${data?.message ?? data}`),
    emitted: () => {},
    cleanupFailed: (error) => heard.push(`cleanup: ${error}`),
    failed: ({ attempt, attempts, after }) =>
      heard.push(`failed ${attempt} of ${attempts}${after ? '' : ', for good'}`),
    succeeded: () => {},
    watch: () => undefined,
  });
  const host = { address, processes: cell.processes, post: () => {}, log: () => {}, actionFailed: () => {} };
  const ambient = { now: () => 0, random: () => 0 };
  const spawn = () => LiveActor.spawn(logic, undefined, host, ambient, '1.a');
  /** Its first turn has committed. */
  const run = () => {
    const { actor, turn } = spawn();
    cell.live = actor;
    cell.row = { version: 1 } as Row;
    actor.afterCommit(turn, () => ambient);
    return actor;
  };
  const fail = async (error: Error) => {
    reject(error);
    await tick();
  };
  return {
    cell,
    clock,
    heard,
    flowOf,
    run,
    spawn,
    fail,
    restore: (text: string) => LiveActor.restore(logic, text, host),
  };
}

describe('a cell that is forgotten', () => {
  it('has nothing of the row any more; its promise goes on, its callback ends', () => {
    const { cell, heard, run } = begin();
    run();
    expect(heard.splice(0)).toEqual(['asked', 'listening']);
    cell.forget();
    expect([cell.row, cell.live]).toEqual([undefined, undefined]);
    expect(heard).toEqual(['deaf']);
    expect(cell.processes.size).toBe(1);
  });

  it('meets its promise again when it has been read again, and starts the callback anew', () => {
    const { cell, heard, run, restore } = begin();
    const text = run().encode();
    cell.forget();
    heard.length = 0;
    cell.live = restore(text);
    cell.live.afterCommit({ handled: false, event: undefined, emitted: [], actions: [], deliveries: [] }, () => ({
      now: () => 0,
      random: () => 0,
    }));
    expect(heard).toEqual(['listening']);
    cell.processes.stopAll();
    expect(heard.sort()).toEqual(['deaf', 'listening', 'the question is withdrawn']);
  });

  it('tells who reads its row meanwhile that it may be out of date, each time', () => {
    const { cell, run } = begin();
    run();
    const { generation } = cell;
    cell.forget();
    cell.forget(); // also of nothing: another row may have been on its way
    expect(cell.generation).toBe(generation + 2);
  });

  it('keeps its mailbox, what it failed with before, and the state that others were shown', () => {
    const { cell, run } = begin();
    const snapshot = run().snapshot;
    cell.committed = snapshot;
    cell.queue.push({ stimulus: { kind: 'timer' }, resolve: () => {}, reject: () => {} });
    cell.failures.another(cell.flow.supervision, 1, 0);
    cell.forget();
    expect(cell.queue).toHaveLength(1);
    expect(cell.failures.none).toBe(false);
    expect(cell.committed).toBe(snapshot);
  });
});

describe('a cell that takes over what a copy has come to', () => {
  it('has the row as it was before, the flow and the actor; a reader of the row before that is told', () => {
    const { cell, heard, flowOf, run, spawn } = begin();
    run();
    const copy = new Cell(address, flowOf(2), {} as never);
    copy.live = spawn().actor;
    copy.row = { version: 6 } as Row;
    const { generation } = cell;
    const found = { version: 5 } as Row;
    cell.adopt(copy, found);
    expect(cell).toMatchObject({ generation: generation + 1, row: found, flow: { version: 2 } });
    expect(cell.live).toBe(copy.live);
    expect(heard).toContain('deaf'); // of the actor that was there before
    expect(heard).not.toContain('the question is withdrawn');
  });
});

describe("a cell's invocations", () => {
  it('follow the policy of the version in which the actor goes on', async () => {
    const { cell, heard, flowOf, run, fail } = begin();
    cell.flow = flowOf(2, { attempts: 2 });
    run();
    await fail(new Error('no'));
    expect(heard.slice(2)).toEqual(['failed 1 of 2']);
  });

  it('name the actor where one takes too long', async () => {
    const { cell, clock, heard, flowOf, run } = begin();
    expect(cell.key).toBe('desk/ada');
    cell.flow = flowOf(2, { timeout: '1s' });
    run();
    clock.moveTo(clock.now() + 1_000);
    await tick();
    expect(heard.find((line) => line.startsWith('xstate.promise.reject'))).toContain("desk/ada, invocation 'ask'");
  });
});

describe('a cell that is made anew', () => {
  it('counts on with the failures that it is given', () => {
    const failures = new Failures();
    const { cell, flowOf } = begin();
    const { supervision } = cell.flow;
    for (let n = 0; n < supervision.maxRestarts; n++) failures.another(supervision, 1, 0);
    expect(new Cell(address, flowOf(1), {} as never, failures).failures.another(supervision, 2, 0)).toBeUndefined();
    expect(cell.failures.another(supervision, 2, 0)).toBeDefined();
  });

  it('pauses only while something is the matter', async () => {
    const { cell, clock } = begin();
    const phase = new Phase();
    phase.now = 'running';
    const pause = new Pauses(clock, phase).of(cell, 1_000, new Error('later'));
    expect([cell.pausing, cell.trouble?.message]).toEqual([true, 'later']);
    clock.moveTo(clock.now() + 1_000);
    await pause;
    expect(cell.pausing).toBe(false);
  });
});
