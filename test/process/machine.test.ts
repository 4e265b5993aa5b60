/** `perdure machine export`, for real. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const BIN = new URL('../../dist/src/cli/perdure.js', import.meta.url).pathname;
const XSTATE = import.meta.resolve('xstate');
const NODE_MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));

describe('machines on the command line', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = (args: string[]) =>
    new Promise<{ code: number; output: string; errors: string }>((resolve) => {
      execFile(process.execPath, [BIN, 'machine', 'export', ...args], { cwd: folder }, (error, output, errors) => {
        resolve({ code: error ? Number(error.code) : 0, output, errors });
      });
    });
  const write = (name: string, text: string) =>
    writeFileSync(join(folder, name), `import { createMachine, setup } from '${XSTATE}';\n${text}`);
  const doors = `
    export const door = createMachine({ id: 'door', initial: 'shut', states: { shut: { on: { OPEN: 'open' } }, open: {} } });
    export const hasty = createMachine({ id: 'hasty', entry: () => {} });
    const inner = createMachine({ id: 'loop' });
    export const loop = setup({ actors: { inner } }).createMachine({ id: 'loop', invoke: { src: 'inner' } });
    loop.implementations.actors.inner = loop;
    export const flow = { type: 'door', logic: door };`;

  it('writes a file whole, and never over one that exists unless told to', async () => {
    const first = await run(['conversation', '--format', 'scxml', '--out', 'out.scxml']);
    expect(first).toEqual({ code: 0, output: '', errors: '' });
    const text = readFileSync(join(folder, 'out.scxml'), 'utf8');
    expect(text).toMatch(/^<\?xml.*<\/scxml>\n$/s);
    const second = await run(['supervisor', '--format', 'scxml', '--out', 'out.scxml']);
    expect([second.code, second.errors]).toEqual([1, expect.stringContaining('out.scxml exists already')]);
    expect(readFileSync(join(folder, 'out.scxml'), 'utf8')).toBe(text);
    await run(['supervisor', '--format', 'scxml', '--out', 'out.scxml', '--force']);
    expect(readFileSync(join(folder, 'out.scxml'), 'utf8')).toContain('name="supervisor"');
    expect(readdirSync(folder)).toEqual(['out.scxml']);
  });

  it('leaves nothing behind where it cannot write', async () => {
    mkdirSync(join(folder, 'taken'));
    const inFolder = await run(['conversation', '--out', 'taken', '--force']);
    expect([inFolder.code, inFolder.errors]).toEqual([1, expect.stringContaining('taken is not a place for a file')]);
    const nowhere = await run(['conversation', '--out', 'no/such/folder.mmd']);
    expect([nowhere.code, nowhere.errors]).toEqual([1, expect.stringContaining('There is no folder')]);
    expect(readdirSync(folder)).toEqual(['taken']);
  });

  it('finds that all machines that are built in can be exported whole', async () => {
    const { code, output } = await run(['--check']);
    expect(code).toBe(0);
    expect(output).toBe(
      ['micro_health_intervention', 'conversation', 'supervisor']
        .map((name) => `${name}: can be exported whole\n`)
        .join(''),
    );
  });

  it("exports machines and flows of the user's own, by the name of their module", async () => {
    write('doors.mjs', doors);
    for (const name of ['door', 'flow']) {
      const { code, output } = await run([`./doors.mjs#${name}`, '--format', 'stately-json']);
      expect([code, JSON.parse(output)]).toMatchObject([0, { id: 'door', initial: 'shut' }]);
    }
    const several = await run(['doors.mjs']);
    expect(several.errors).toContain('Choose one of doors.mjs#door, doors.mjs#flow, doors.mjs#hasty, doors.mjs#loop');
    const none = await run(['./doors.mjs#window']);
    expect(none.errors).toContain("exports no machine, and no flow of one, as 'window'. It exports ./doors.mjs#door");
  });

  it('fails a check with all that is in the way, and exports nothing of it', async () => {
    write('doors.mjs', doors);
    const { code, output, errors } = await run(['doors.mjs', '--check']);
    expect(code).toBe(1);
    expect(output).toBe('doors.mjs#door: can be exported whole\ndoors.mjs#flow: can be exported whole\n');
    expect(errors).toContain(
      "doors.mjs#hasty: The machine 'hasty' cannot be exported whole:\n- entry: an inline action.",
    );
    expect(errors).toMatch(/doors\.mjs#loop: .*\n- \(inner\): .* leads back/);
    for (const name of ['hasty', 'loop']) {
      const refused = await run([`doors.mjs#${name}`, '--format', 'svg', '--out', 'door.svg']);
      expect([refused.code, refused.errors]).toEqual([1, expect.stringContaining('cannot be exported whole')]);
    }
    expect(readdirSync(folder)).toEqual(['doors.mjs']);
  });

  it('finds flows in lists, as the other commands do, and lets none of them pass a check unseen', async () => {
    write('doors.mjs', doors);
    write(
      'flows.mjs',
      "import { door, flow, hasty } from './doors.mjs';\nexport { flow };\nexport const old = [flow, { logic: hasty }];",
    );
    const checked = await run(['flows.mjs', '--check']);
    expect([checked.code, checked.output]).toEqual([1, 'flows.mjs#flow: can be exported whole\n']);
    expect(checked.errors).toContain("flows.mjs#old.1: The machine 'hasty' cannot be exported whole");
    write('lists.mjs', "import { flow } from './doors.mjs';\nexport default [flow];\nexport const nothing = null;");
    const { code, output } = await run(['./lists.mjs#default.0']);
    expect([code, output]).toEqual([0, expect.stringContaining('shut --> open : OPEN')]);
  });

  it("reads TypeScript with the project's own tsx, and says what to do where there is none", async () => {
    write('door.ts', `${doors}\nexport type Door = typeof door;`);
    const plain = await run(['door.ts#door']);
    // From 22.18 on Node reads it by itself.
    if (plain.code !== 0) expect(plain.errors).toContain('Add tsx to your project');
    symlinkSync(NODE_MODULES, join(folder, 'node_modules'), 'junction');
    const typed = await run(['door.ts#door']);
    expect([typed.code, typed.output]).toEqual([0, expect.stringContaining('shut --> open : OPEN')]);
  });

  it('says what is wrong with what it was given', async () => {
    write('broken.mjs', 'throw new Error("not today");');
    write('empty.mjs', 'export const nothing = 1;');
    for (const [args, message] of [
      [[], /Which machine\?/],
      [['nothing'], /There is no machine 'nothing'/],
      [['./nothing.mjs'], /There is no module \.\/nothing\.mjs/],
      [['broken.mjs'], /broken\.mjs cannot be imported: not today/],
      [['empty.mjs'], /empty\.mjs exports no machine/],
      [['conversation', '--format', 'gif'], /Allowed choices are stately-json, xstate, mermaid, scxml, svg, png/],
    ] as [string[], RegExp][]) {
      const { code, errors } = await run(args);
      expect(errors).toMatch(message);
      expect(errors).not.toMatch(/\n\s+at /);
      expect(code).toBe(1);
    }
  });
});
