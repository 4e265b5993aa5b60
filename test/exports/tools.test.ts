/**
 * The machine files in the eyes of what reads machines from source: `@xstate/machine-extractor`, which is behind Stately
 * Studio's import, the VS Code extension and XState's command line, finds in each file what runs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import type { AnyStateMachine } from 'xstate';
import { exportMachine } from '../../src/exports/index.ts';
import { machines } from './machines.ts';

const { extractMachinesFromFile } = createRequire(new URL('./tools/package.json', import.meta.url))(
  '@xstate/machine-extractor',
);
const folder = new URL('../../machines/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.ts'));

const list = (value: unknown): any[] => (value === undefined ? [] : [value].flat());
const named = (value: any) => (typeof value === 'string' ? { type: value, params: {} } : { params: {}, ...value });

/** A state of a machine's config, in one shape for both. */
function state(config: any, read: (part: any) => any): unknown {
  const actions = (value: unknown) => list(value).map(read);
  const transitions = (value: unknown) =>
    list(value).map((each) =>
      typeof each === 'string'
        ? { target: [each], actions: [] }
        : {
            target: list(each.target),
            actions: actions(each.actions),
            guard: (each.guard ?? each.cond) && read(each.guard ?? each.cond),
            description: each.description,
          },
    );
  const all = (record: object = {}) =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, transitions(value)]));
  return {
    type: config.type,
    initial: config.initial,
    description: config.description,
    tags: list(config.tags),
    entry: actions(config.entry),
    exit: actions(config.exit),
    on: all(config.on),
    after: all(config.after),
    always: transitions(config.always),
    onDone: transitions(config.onDone),
    invoke: list(config.invoke).map(({ src, onDone, onError }) => ({
      src,
      onDone: transitions(onDone),
      onError: transitions(onError),
    })),
    states: Object.fromEntries(Object.entries(config.states ?? {}).map(([key, child]) => [key, state(child, read)])),
  };
}

const asItRuns = ({ config }: AnyStateMachine) => state(config, named);

function asTheToolsSee(source: string): { id: string; state: unknown }[] {
  const { machines: found } = extractMachinesFromFile(source);
  return found.map((each: any) => {
    const config = each.toConfig();
    // The extractor tells what is named from what is inline.
    return {
      id: config.id,
      state: state(config, (part) => {
        if (part.kind !== 'named') throw new Error(`not by name: ${JSON.stringify(part)}`);
        const { type, params } = part.action ?? part;
        return { type, params };
      }),
    };
  });
}

it('covers every machine file', () => {
  expect(files.map((name) => name.replace('.ts', '')).sort()).toEqual(
    machines
      .map(([name]) => name)
      .filter((name) => name !== 'kitchen-sink')
      .sort(),
  );
});

describe.each(machines.filter(([name]) => name !== 'kitchen-sink'))('%s', (name, machine) => {
  it('opens in Stately: the tools find the machine that runs, with every name, parameter and description', () => {
    const source = readFileSync(new URL(`${name}.ts`, folder), 'utf8');
    expect(asTheToolsSee(source)).toEqual([{ id: machine.id, state: asItRuns(machine) }]);
  });

  it('opens in Stately as its own export to XState, too', async () => {
    const source = await exportMachine(machine, { format: 'xstate' });
    expect(asTheToolsSee(source)).toEqual([{ id: machine.id, state: asItRuns(machine) }]);
  });

  it('is what XState makes of its JSON, with the implementations given', async () => {
    const { createMachine } = await import('xstate');
    const config = JSON.parse(await exportMachine(machine, { format: 'stately-json' }));
    const again = createMachine(config).provide(machine.implementations as never) as unknown as AnyStateMachine;
    expect(asItRuns(again)).toEqual(asItRuns(machine));
    expect([...again.root.transitions.keys()]).toEqual([...machine.root.transitions.keys()]);
    expect(JSON.stringify(config)).not.toContain('xstate.');
  });
});
