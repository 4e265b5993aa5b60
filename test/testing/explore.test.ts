/** What the tools say where they are used wrongly, and what the explorer reports. */
import { describe, expect, it } from 'vitest';
import { createMachine, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { crashEverywhere, explore, type Script } from '../../src/testing/index.ts';

const machine = setup({
  types: {} as { events: { type: 'ring' } | { type: 'hangUp' } | { type: 'never' } },
  actors: { connect: fromPromise<string>(async () => 'Ada') },
  delays: { patience: 60_000 },
}).createMachine({
  id: 'phone',
  initial: 'idle',
  states: {
    idle: { on: { ring: 'ringing', never: 'unreachable' } },
    ringing: { invoke: { src: 'connect', onDone: 'talking', onError: 'idle' }, after: { patience: 'idle' } },
    talking: { on: { hangUp: 'idle' } },
    unreachable: {},
  },
});
const phone = defineFlow({ type: 'phone', version: 1, logic: machine });

describe('the explorer', () => {
  it('reports what it covered, and what it did not', async () => {
    const report = await explore(phone, { events: () => [{ type: 'ring' }, { type: 'hangUp' }] });
    expect(report.states).toEqual({ covered: ['(root)', 'idle', 'ringing', 'talking'], missed: ['unreachable'] });
    expect(report.transitions).toEqual({
      covered: [
        'idle: ring → ringing',
        'ringing: done connect → talking',
        'ringing: error connect → idle',
        'ringing: after patience → idle',
        'talking: hangUp → idle',
      ],
      missed: ['idle: never → unreachable'],
    });
    expect(report.outcomes).toEqual({ covered: ['connect resolves', 'connect fails'], missed: [] });
    expect(report.scripts).toEqual([
      [{ send: { type: 'ring' } }, { resolve: 'connect' }, { send: { type: 'hangUp' } }],
      [{ send: { type: 'ring' } }, { advance: '1m' }],
      [{ send: { type: 'ring' } }, { reject: 'connect', with: 'connect failed' }],
    ]);
    expect(report.truncated).toBe(false);
    expect(String(report)).toContain('transitions: 5 of 6 (83 %), not\n  - idle: never → unreachable');
  });

  it('fails where too little is covered', async () => {
    const exploring = explore(phone, { events: [{ type: 'ring' }], check: 'none', coverage: { states: 0.9 } });
    await expect(exploring).rejects.toMatchObject({
      code: 'COVERAGE',
      coverage: { states: { missed: ['unreachable'] } },
    });
    await expect(exploring).rejects.toThrow(
      "Too little of 'phone' was explored.\n\nstates: 4 of 5 (80 %), at least 90 % are asked for, not\n  - unreachable",
    );
  });

  it('says where its bounds were too narrow', async () => {
    const shallow = await explore(phone, { events: [{ type: 'ring' }], depth: 1, check: 'none' });
    expect(shallow).toMatchObject({ scripts: [[{ send: { type: 'ring' } }]], truncated: true });
    const few = await explore(phone, { events: [{ type: 'ring' }], limit: 1, check: 'none' });
    expect(few).toMatchObject({ scripts: [[{ send: { type: 'ring' } }]], truncated: true });
    const one = await explore(phone, { events: [{ type: 'ring' }], scripts: 1, check: 'none' });
    expect(one).toMatchObject({ runs: 1, truncated: true });
  });

  it('gets to a deadline behind one that comes again and again', async () => {
    const logic = createMachine({
      id: 'nag',
      initial: 'asking',
      states: {
        asking: {
          initial: 'still',
          after: { 3600000: 'lapsed' },
          states: { still: { after: { 900000: { target: 'still', reenter: true } } } },
        },
        lapsed: {},
      },
    });
    const nag = defineFlow({ type: 'nag', version: 1, logic });
    await explore(nag, { events: [], check: 'none', coverage: { states: 1, transitions: 1 } });
  });

  it('checks each script everywhere, if asked to', async () => {
    const { crashes } = await explore(phone, { events: [{ type: 'ring' }], depth: 2, check: 'everywhere' });
    expect(crashes).toBeGreaterThan(100);
  });

  it('knows what is invoked', async () => {
    await expect(explore(phone, { events: [], outcomes: { conect: {} } })).rejects.toThrow(
      "explore: there are outcomes for 'conect', which 'phone' does not invoke. It invokes: connect.",
    );
  });
});

describe('a script', () => {
  it('is made of steps', async () => {
    await expect(crashEverywhere(phone, [{ sned: { type: 'ring' } } as never])).rejects.toThrow(
      "Step 1 of the script, { sned: { type: 'ring' } }, is none. A step has one of these: send, transaction, receive, advance, advanceTo, resolve, reject, inState.",
    );
    await expect(crashEverywhere(phone.logic as never, [])).rejects.toThrow('A flow is what defineFlow');
    await expect(explore(phone.logic as never, { events: [] })).rejects.toThrow('A flow is what defineFlow');
    for (const events of [undefined, 'ring', [{}], [null]])
      await expect(explore(phone, { events } as never)).rejects.toThrow('events is a list of sample events');
    await expect(crashEverywhere(phone, [{ advance: '1 day' as never }])).rejects.toThrow('"1 day" is not a duration');
    await expect(crashEverywhere(phone, [{ advanceTo: 'tomorrow' }])).rejects.toThrow('tomorrow is no instant');
  });

  it('answers only what was asked', async () => {
    await expect(crashEverywhere(phone, [{ resolve: 'connect' }])).rejects.toThrow(
      "Step 1 of the script, { resolve: 'connect' }: No invocation of 'connect' waits for an answer. None waits at all. The actor is in 'idle'.",
    );
  });

  it('says where the actor has to be', async () => {
    const { runs } = await crashEverywhere(phone, [
      { inState: 'idle' },
      { send: { type: 'ring' } },
      { inState: 'ringing' },
      { resolve: 'connect', with: 'Bob' },
      { inState: 'talking' },
    ]);
    expect(runs).toBeGreaterThan(10);
    const wrong = crashEverywhere(phone, [{ send: { type: 'ring' } }, { advance: '1h' }, { inState: 'talking' }]);
    await expect(wrong).rejects.toMatchObject({
      name: 'AssertionError',
      message: "Step 3 of the script, { inState: 'talking' }, does not hold. The actor is in 'idle'.",
      expected: 'talking',
      actual: 'idle',
    });
    await expect(crashEverywhere(phone, [{ inState: 'talkign' }])).rejects.toThrow(
      "The machine 'phone' has no state 'talkign'. There is: idle, ringing, talking, unreachable.",
    );
  });

  it('fails at the line of the test', async () => {
    const at = async (failing: Promise<unknown>) => {
      const { stack, message } = await failing.then(
        () => expect.unreachable(),
        (error: Error) => error,
      );
      expect(stack).toContain(message);
      return stack!.slice(stack!.indexOf(message) + message.length).split('\n')[1];
    };
    const inThisFile = /^ +at .*test\/testing\/explore\.test\.ts:\d+/;
    expect(await at(crashEverywhere(phone, [{ inState: 'talking' }]))).toMatch(inThisFile);
    expect(await at(crashEverywhere(phone, [{ resolve: 'connect', with: 'Bob' }]))).toMatch(inThisFile);
    const broken = setup({ guards: { throws: () => JSON.parse('{') } }).createMachine({
      id: 'broken',
      on: { ring: { guard: 'throws', actions: () => {} } },
    });
    const flow = defineFlow({ type: 'broken', version: 1, logic: broken });
    const exploring = explore(flow, { events: [{ type: 'ring' }] });
    expect(await at(exploring)).toMatch(inThisFile);
    await expect(exploring).rejects.toMatchObject({ code: 'DIVERGENCE', cause: { code: 'TURN_FAILED' } });
  });

  it('says why an actor got no further', async () => {
    const logic = setup({ actors: { connect: fromPromise<string>(async () => 'Ada') } }).createMachine({
      initial: 'ringing',
      states: { ringing: { invoke: { src: 'connect', onDone: 'talking' } }, talking: {} },
    });
    const fragile = defineFlow({ type: 'fragile', version: 1, logic });
    await expect(
      crashEverywhere(fragile, [{ reject: 'connect', with: 'no line' }, { inState: 'talking' }]),
    ).rejects.toThrow(/^Step 2 .* The actor is in 'ringing', and was put aside: .*no line/);
  });

  it('fails where a message reaches no actor, and says why', async () => {
    const logic = setup({}).createMachine({
      initial: 'open',
      states: { open: { on: { close: 'over' } }, over: { type: 'final' } },
    });
    const brief = defineFlow({ type: 'brief', version: 1, logic });
    const script: Script<typeof brief> = [{ send: { type: 'close' } }, { advance: '3d' }, { receive: 'hello' }];
    const run = crashEverywhere(brief, script, { phoneNumber: '+15551234567' });
    await expect(run).rejects.toThrow(
      "Step 3 of the script, { receive: 'hello' }: the message reaches no actor. +15551234567 led to brief/p_1 until 2026-01-03T00:00:00.000Z: the actor has ended.",
    );
  });

  it('may let services answer of themselves', async () => {
    const { runs } = await crashEverywhere(phone, [{ send: { type: 'ring' } }, { send: { type: 'hangUp' } }], {
      stubs: { connect: () => 'Bob' },
    });
    expect(runs).toBeGreaterThan(10);
    await expect(crashEverywhere(phone, [], { stubs: { conect: 1 } })).rejects.toThrow(
      "These can be stubbed: 'connect'.",
    );
  });
});
