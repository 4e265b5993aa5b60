import { describe, expect, it } from 'vitest';
import { createMachine, fromPromise, setup } from 'xstate';
import { misfitsOf } from '../../src/actor/fit.ts';
import { toMigrating, toStored } from '../../src/actor/migrating-timers.ts';
import { type Shape, shapeOf } from '../../src/actor/shape.ts';

const actors = { work: fromPromise(async () => 1), other: fromPromise(async () => 2) };
const machine = (config: object) => setup({ actors }).createMachine({ id: 'm', ...config } as never);
const active = (value: unknown, more: object = {}) => ({ status: 'active', value, context: {}, ...more });
const reasons = (logic: any, snapshot: object, formers: readonly Shape[] = [], timers: any[] = []) =>
  misfitsOf(logic, { snapshot, timers }, { formers }).map(({ reason }) => reason);

describe('a stored value fits a machine', () => {
  const logic = machine({
    initial: 'a',
    states: {
      a: { initial: 'x', states: { x: {}, y: {}, memory: { type: 'history' } } },
      b: { type: 'parallel', states: { one: { initial: 'i', states: { i: {} } }, two: {} } },
      c: {},
    },
  });

  it.each([[{ a: 'x' }], [{ b: { one: 'i', two: {} } }], ['c']])('%j', (value) => {
    expect(reasons(logic, active(value))).toEqual([]);
  });

  it.each([
    ['nowhere', "the state 'nowhere' is gone"],
    [{ a: 'z' }, "the state 'a.z' is gone"],
    ['a', "the state 'a' has inner states, and the snapshot does not say which of them it is in"],
    [{ b: { one: 'i' } }, "the state 'b' has a region 'two', and the snapshot does not say where that stands"],
    [{ b: { one: 'i', two: {}, three: {} } }, "the state 'b.three' is gone"],
    [{ c: 'inner' }, "the state 'c.inner' is gone"],
    [{ a: 'memory' }, "the state 'a.memory' is a history, in which nobody can be"],
    [undefined, 'the machine has inner states, and the snapshot does not say which of them it is in'],
  ])('but not %j', (value, reason) => {
    expect(reasons(logic, active(value))).toEqual([reason]);
  });

  it('but not where its history remembers a state that is gone', () => {
    expect(reasons(logic, active('c', { historyValue: { 'm.a.memory': [{ id: 'm.a.old' }] } }))).toEqual([
      "the state 'm.a.old', which its history remembers, is gone",
    ]);
  });
});

describe('an actor that has not ended', () => {
  const end = { type: 'final' };
  const region = { initial: 'i', states: { i: {}, end } };
  const ends = 'it stands where the machine ends, and has not ended: it would wait for ever';

  it('is not in a final state of its machine, or in those of all its regions', () => {
    const single = machine({ initial: 'a', states: { a: region, end } });
    expect(reasons(single, active('end'))).toEqual([ends]);
    expect(reasons(single, active({ a: 'end' }))).toEqual([]);
    const both = machine({ type: 'parallel', states: { one: region, two: region } });
    expect(reasons(both, active({ one: 'end', two: 'end' }))).toEqual([ends]);
    expect(reasons(both, active({ one: 'end', two: 'i' }))).toEqual([]);
  });

  it('may have ended', () => {
    const single = machine({ initial: 'a', states: { a: {}, end } });
    expect(reasons(single, { ...active('end'), status: 'done' })).toEqual([]);
  });
});

describe('a child fits its actor', () => {
  const child = createMachine({ id: 'child', context: { known: 1, fresh: 2 }, initial: 'a', states: { a: {} } });
  const logic = (kid: any) => setup({ actors: { kid } }).createMachine({ id: 'm', invoke: { id: 'kid', src: 'kid' } });
  const of = (snapshot: object) => active({}, { children: { kid: { src: 'kid', snapshot } } });

  it('with the fields of its own context', () => {
    expect(reasons(logic(child), of(active('a', { context: { known: 1, fresh: 2 } })))).toEqual([]);
    expect(reasons(logic(child), of(active('a', { context: { known: 1 } })))).toEqual([
      "in its child 'kid', its context has no 'fresh'",
    ]);
  });

  it('as a machine, or as what is none', () => {
    expect(reasons(logic(actors.work), of({ status: 'active', input: 1 }))).toEqual([]);
    expect(reasons(logic(actors.work), of(active('a')))).toEqual([
      "its child 'kid' is a machine in the snapshot, and 'kid' is a promise",
    ]);
    for (const promise of [
      { status: 'active', input: 1 },
      { status: 'done', output: 1 },
    ])
      expect(reasons(logic(child), of(promise))).toEqual([
        "its child 'kid' is no machine in the snapshot, and 'kid' is a machine",
      ]);
  });
});

describe('deadlines fit a machine', () => {
  const after = (delay: string, state: string) => ({ event: { type: `xstate.after.${delay}.m.${state}` }, dueAt: 1 });
  const before = machine({ initial: 'a', states: { a: { after: { 10: 'b' }, on: { poke: 'b' } }, b: {} } });
  const now = machine({ initial: 'a', states: { a: { after: { 10: 'b', 20: 'b' } }, b: { after: { 30: 'a' } } } });

  it('where each after of the active states has its own', () => {
    expect(reasons(now, active('a'), [], [after('10', 'a'), after('20', 'a')])).toEqual([]);
    expect(reasons(now, active('a'), [], [after('10', 'a')])).toEqual([expect.stringContaining("deadline '20'")]);
    expect(reasons(now, active('b'), [], [after('10', 'a'), after('30', 'b')])).toEqual([
      "its pending deadline '10' of the state 'm.a' does not exist any more",
    ]);
  });

  it('where it misses only what the machine before had too, and may have used up', () => {
    expect(reasons(now, active('a'), [shapeOf(before)])).toEqual([expect.stringContaining("deadline '20'")]);
    expect(reasons(now, active('a'), [shapeOf(now)])).toEqual([]);
    expect(reasons(now, active('a'), [shapeOf(now), shapeOf(before)])).toHaveLength(1);
  });

  it('where names of delays have dots in them', () => {
    const dotted = (after: object) =>
      setup({ delays: { 'wait.short': 1, 'wait.long': 2 } }).createMachine({
        id: 'm',
        initial: 'a',
        states: { a: { after } as never, b: {} },
      });
    const [one, both] = [dotted({ 'wait.short': 'b' }), dotted({ 'wait.short': 'b', 'wait.long': 'b', 1.5: 'b' })];
    expect(Object.keys(shapeOf(both).states!['m.a']!.after!)).toEqual(['1.5', 'wait.long', 'wait.short']);
    expect(reasons(both, active('a'), [shapeOf(one)], [after('wait.short', 'a')])).toEqual([
      "the state 'a' has a deadline 'wait.long', which the snapshot has not: it would wait for ever",
      "the state 'a' has a deadline '1.5', which the snapshot has not: it would wait for ever",
    ]);
    const timers = [{ id: 'x', ...after('wait.long', 'a') }];
    expect(toMigrating(both, timers)).toEqual([{ state: 'a', after: 'wait.long', dueAt: 1 }]);
    expect(toStored(both, toMigrating(both, timers)).timers).toEqual([
      expect.objectContaining(after('wait.long', 'a')),
    ]);
  });

  it('where a delayed event means something, or never did', () => {
    const poke = [{ event: { type: 'poke' }, dueAt: 1 }];
    expect(reasons(before, active('b'), [], poke)).toEqual([]);
    expect(reasons(now, active('a'), [shapeOf(now)], poke)).toEqual([]);
    expect(reasons(machine({ on: { 'po.*': {}, '*': {} } }), active({}), [], poke)).toEqual([]);
    expect(reasons(machine({}), active({}), [shapeOf(before)], poke)).toEqual([
      "its pending deadline brings the event 'poke', which no state takes any more",
    ]);
  });
});

describe('children fit a machine', () => {
  const invoking = (src: string, id = 'job') =>
    machine({ initial: 'a', states: { a: { invoke: { id, src } }, b: {} } });
  const child = (src: string) => ({ children: { job: { src, snapshot: { status: 'active' } } } });

  it('where the states invoke them', () => {
    expect(reasons(invoking('work'), active('a', child('work')))).toEqual([]);
    expect(reasons(invoking('other'), active('a', child('work')))).toEqual([
      "the state 'a' invokes 'other' as 'job', and in the snapshot that is 'work'",
    ]);
    expect(reasons(invoking('work', 'task'), active('a', child('work')), [shapeOf(invoking('work'))])).toEqual([
      "the state 'a' invokes 'task', which the snapshot has not: it would wait for ever",
      "its invocation 'job' is not invoked by any state that it is in",
    ]);
    expect(reasons(invoking('work'), active('b', child('gone')))).toEqual([
      "its child 'job' runs 'gone', which the machine does not provide",
    ]);
  });

  it('where one is done that the machine before invoked too, or was spawned', () => {
    expect(reasons(invoking('work'), active('a'), [shapeOf(invoking('work'))])).toEqual([]);
    expect(reasons(machine({ initial: 'b', states: { b: {} } }), active('b', child('work')))).toEqual([]);
  });

  it('where they fit themselves, with their deadlines', () => {
    const inner = (delay: number) =>
      createMachine({ id: 'inner', initial: 'x', states: { x: { after: { [delay]: 'y' } }, y: {} } });
    const outer = (delay: number) =>
      setup({ actors: { inner: inner(delay) } }).createMachine({ id: 'm', invoke: { id: 'job', src: 'inner' } });
    const snapshot = (value: string) =>
      active({}, { children: { job: { src: 'inner', snapshot: { status: 'active', value, context: {} } } } });
    const timer = { event: { type: 'xstate.after.5.inner.x' }, dueAt: 1, source: ['job'], target: ['job'] };
    expect(reasons(outer(5), snapshot('x'), [], [timer])).toEqual([]);
    expect(reasons(outer(5), snapshot('z'), [], [timer])).toEqual(["in its child 'job', the state 'z' is gone"]);
    expect(reasons(outer(6), snapshot('x'), [shapeOf(outer(5))], [timer])).toEqual([
      "in its child 'job', its pending deadline '5' of the state 'inner.x' does not exist any more",
      "in its child 'job', the state 'x' has a deadline '6', which the snapshot has not: it would wait for ever",
    ]);
  });
});

describe('a context fits', () => {
  it('where it has the fields with which the machine begins', () => {
    const fixed = createMachine({ context: { name: '', age: 0 } });
    expect(reasons(fixed, active({}, { context: { age: 1, more: true } }))).toEqual(["its context has no 'name'"]);
    const made = createMachine({ context: ({ input }: any) => ({ name: input.name, age: 0 }) });
    expect(reasons(made, active({}, { context: { age: 1 } }))).toEqual(["its context has no 'name'"]);
    const needy = createMachine({ context: ({ input }: any) => ({ name: input.person.name }) });
    expect(reasons(needy, active({}, { context: {} }))).toEqual([]);
    expect(shapeOf(needy).context).toBeUndefined();
  });
});

describe('a state that has become another kind of state', () => {
  const sub = (states: object, more: object = {}) => ({ initial: 'i', states, ...more });
  const done = { onDone: 'next' };

  it('is told where it is final now, and its parent waits for that', () => {
    const before = machine({
      initial: 'p',
      states: { p: sub({ i: { on: { go: 'end' } }, end: { type: 'final' } }, done), next: {} },
    });
    const now = (more: object) =>
      machine({ initial: 'p', states: { p: sub({ i: { type: 'final' } }, more), next: {} } });
    expect(reasons(now(done), active({ p: 'i' }), [shapeOf(before)])).toEqual([
      "the state 'p.i' has become final, and it stands there: the state 'p' would never be done",
    ]);
    expect(reasons(now({ on: { leave: 'next' } }), active({ p: 'i' }), [shapeOf(before)])).toEqual([]);
    expect(reasons(now(done), active({ p: 'i' }), [shapeOf(now(done))])).toEqual([]);
  });

  it('is told where it was the end of a region, and all regions wait for each other', () => {
    const other = sub({ i: { on: { go: 'end' } }, end: { type: 'final' } });
    const both = (one: object) =>
      machine({
        initial: 'p',
        states: { p: { type: 'parallel', states: { one: sub({ i: one }), other }, ...done }, next: {} },
      });
    const there = active({ p: { one: 'i', other: 'i' } });
    expect(reasons(both({ on: { go: {} } }), there, [shapeOf(both({ type: 'final' }))])).toContain(
      "the state 'p.one.i' is no longer final, and it stands there: the state 'p' may never be done",
    );
    expect(reasons(both({ type: 'final' }), there, [shapeOf(both({ type: 'final' }))])).toEqual([]);
  });

  it('is told where it is left at once now', () => {
    const with_ = (always: unknown) =>
      machine({
        initial: 'a',
        context: { n: 2 },
        states: { a: { on: { go: 'b' }, ...(always ? { always } : {}) }, b: {} },
      });
    const before = [shapeOf(with_(undefined))];
    const told = ["the state 'a' is left at once now, and it stands there: it would stay until the next event"];
    const there = active('a', { context: { n: 2 } });
    const if_ = (least: number) => ({ guard: ({ context }: any) => context.n >= least, target: 'b' });
    expect(reasons(with_('b'), there, before)).toEqual(told);
    expect(reasons(with_(if_(2)), there, before)).toEqual(told);
    expect(reasons(with_(if_(3)), there, before)).toEqual([]);
    expect(reasons(with_(if_(2)), there, [shapeOf(with_(if_(2)))])).toEqual([]);
  });

  it('is told where something led on, and nothing does any more', () => {
    const now = (more: object) => machine({ initial: 'a', states: { a: more, b: {} } });
    const before = [shapeOf(now({ on: { go: 'b' } }))];
    const told = ["nothing leads on from the state 'a' any more: it would wait for ever"];
    expect(reasons(now({}), active('a'), before)).toEqual(told);
    expect(reasons(now({ on: { go: { actions: () => {} } } }), active('a'), before)).toEqual(told);
    expect(reasons(now({ on: { leave: 'b' } }), active('a'), before)).toEqual([]);
    expect(reasons(now({}), active('b'), before)).toEqual([]);
  });

  it('is told where the history that remembers it has another name', () => {
    const now = (name: string) =>
      machine({ initial: 'c', states: { a: sub({ i: {}, [name]: { type: 'history' } }), c: {} } });
    const there = active('c', { historyValue: { 'm.a.back': [{ id: 'm.a.i' }] } });
    expect(reasons(now('back'), there)).toEqual([]);
    expect(reasons(now('again'), there)).toEqual([
      "the history 'm.a.back', which remembers where it was, is gone: it would begin anew there",
    ]);
  });
});

describe('what is under way is heard', () => {
  const poke = [{ event: { type: 'poke' }, dueAt: 1 }];

  it('where a delayed event is taken by a state that it is in', () => {
    const taking = (...states: string[]) =>
      machine({
        initial: 'a',
        states: Object.fromEntries(['a', 'b'].map((key) => [key, states.includes(key) ? { on: { poke: {} } } : {}])),
      });
    expect(reasons(taking('b'), active('a'), [shapeOf(taking('a', 'b'))], poke)).toEqual([
      "its pending deadline brings the event 'poke', which no state that it is in takes any more",
    ]);
    // It may get to the other state until then, as it could before.
    expect(reasons(taking('b'), active('a'), [shapeOf(taking('b'))], poke)).toEqual([]);
  });

  it('where the end of what runs is taken', () => {
    const invoking = (more: object) =>
      machine({ initial: 'a', states: { a: { invoke: { id: 'job', src: 'work', ...more }, on: { go: 'b' } }, b: {} } });
    const running = (status: string) => active('a', { children: { job: { src: 'work', snapshot: { status } } } });
    const before = [shapeOf(invoking({ onDone: 'b', onError: 'b' }))];
    expect(reasons(invoking({ onError: 'b' }), running('active'), before)).toEqual([
      "its child 'job' is under way, and no state that it is in takes its result any more",
    ]);
    expect(reasons(invoking({ onDone: 'b' }), running('active'), before)).toEqual([
      "its child 'job' is under way, and no state that it is in takes its error any more",
    ]);
    expect(reasons(invoking({}), running('done'), before)).toEqual([]);
    expect(reasons(invoking({}), running('active'), [shapeOf(invoking({}))])).toEqual([]);
  });
});
