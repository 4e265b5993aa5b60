import { describe, expect, it } from 'vitest';
import { assign, createMachine, enqueueActions, fromPromise, not, raise, setup } from 'xstate';
import { checkMachine, EXPORT_FORMATS, exportMachine, type Finding } from '../../src/exports/index.ts';
import { machines } from './machines.ts';

const paths = (findings: Finding[]) => findings.map(({ path }) => path);

describe('whether a machine can be exported whole', () => {
  it.each(machines)('finds nothing in the way of %s', (_, machine) => {
    expect(checkMachine(machine)).toEqual([]);
  });

  it('names every place where there is a function instead of a name', () => {
    function shout() {}
    const machine = setup({ guards: { fine: () => true } }).createMachine({
      context: { n: 0 },
      initial: 'a',
      entry: () => {},
      states: {
        a: {
          entry: shout,
          exit: ['named', assign({ n: 1 }), assign({ n: ({ context }) => context.n + 1 })] as never,
          on: {
            GO: [
              { guard: () => true, target: 'b' },
              { guard: not(() => true) as never, actions: enqueueActions(() => {}) },
            ],
          },
          after: { 100: { actions: raise(() => ({ type: 'GO' })) } },
          always: { guard: 'fine', actions: raise({ type: 'GO' }, { delay: () => 5 }) as never },
        },
        b: { invoke: { src: fromPromise(async () => {}), onDone: { actions: () => {} } } as never },
      },
    });
    const findings = checkMachine(machine);
    expect(paths(findings)).toEqual([
      'entry',
      'states.a.entry',
      'states.a.exit',
      'states.a.on.GO.0.guard',
      'states.a.on.GO.1.guard.0',
      'states.a.on.GO.1.actions',
      'states.a.after.100.actions',
      'states.a.always.actions',
      'states.b.invoke.src',
      'states.b.invoke.onDone.actions',
    ]);
    const [entry, named] = findings;
    expect(entry!.problem).toBe('an inline action. Name it in setup({ actions }).');
    expect(named!.problem).toContain('the function shout where an action is to be named');
  });

  it('names values that no file can hold', () => {
    const machine = createMachine({
      context: { since: new Date(0), list: [1, Number.NaN], fine: { a: null, b: [true] } },
      meta: { icon: new Map() } as never,
      initial: 'a',
      states: { a: { entry: { type: 'x', params: { socket: 1n } } } },
    });
    expect(checkMachine(machine).map(({ path, problem }) => `${path}: ${problem.split(',')[0]}`)).toEqual([
      'meta.icon: a Map',
      'states.a.entry.params.socket: a bigint',
      'context.since: a Date',
    ]);
  });

  it('names an object that holds itself', () => {
    const node: Record<string, unknown> = { shared: {} };
    node['self'] = [node];
    node['twice'] = node['shared'];
    const machine = createMachine({ context: { node }, initial: 'a', states: { a: {} } });
    expect(checkMachine(machine)).toEqual([
      { path: 'context.node.self.0', problem: expect.stringContaining('an object that holds itself') },
    ]);
  });

  it('looks into the machines that it runs, and stops where they lead back', () => {
    const inner = setup({}).createMachine({ id: 'inner', entry: () => {} });
    const outer = setup({ actors: { inner } }).createMachine({ id: 'outer', invoke: { src: 'inner' } });
    const again = outer.provide({ actors: { inner: outer as never } });
    expect(paths(checkMachine(outer))).toEqual(['(inner) entry']);
    expect(paths(checkMachine(again))).toEqual(['(inner)']);
    const loop = setup({ actors: { inner } }).createMachine({ id: 'loop' });
    loop.implementations.actors.inner = loop as never;
    expect(checkMachine(loop)[0]!.problem).toContain('leads back');
  });

  it.each(EXPORT_FORMATS)('is refused as %s with all that is in the way', async (format) => {
    const machine = setup({}).createMachine({ id: 'hasty', entry: () => {}, exit: () => {} });
    await expect(exportMachine(machine, { format })).rejects.toMatchObject({
      code: 'MACHINE_NOT_EXPORTABLE',
      message: expect.stringMatching(/'hasty' cannot be exported whole:\n- entry: .*\n- exit: /),
      findings: [{ path: 'entry' }, { path: 'exit' }],
    });
  });

  it('refuses what is no machine, and a format that is not known', async () => {
    await expect(exportMachine(fromPromise(async () => {}) as never, { format: 'svg' })).rejects.toThrow(
      'Only machines',
    );
    await expect(exportMachine(machines[0]![1], { format: 'gif' as never })).rejects.toThrow('stately-json, xstate');
  });
});
