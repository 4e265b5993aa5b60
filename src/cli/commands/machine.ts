/** `perdure machine export`: machines in other forms, and whether they have what it takes. */
import { randomUUID } from 'node:crypto';
import { access, link, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { AnyStateMachine } from 'xstate';
import { conversationMachine } from '../../../machines/conversation.ts';
import { microHealthInterventionMachine } from '../../../machines/micro-health-intervention.ts';
import { supervisorMachine } from '../../../machines/supervisor.ts';
import { InvalidArgumentError, MachineNotExportableError } from '../../errors.ts';
import { isMachine } from '../../exports/children.ts';
import { checkMachine, EXPORT_FORMATS, type ExportFormat, exportMachine } from '../../exports/index.ts';
import { importModule } from '../module.ts';

const BUILT_IN: Record<string, AnyStateMachine> = {
  micro_health_intervention: microHealthInterventionMachine,
  conversation: conversationMachine,
  supervisor: supervisorMachine,
};

interface ExportCommand {
  format: ExportFormat;
  out?: string;
  force: boolean;
  check: boolean;
}

export function registerMachine(program: Command): void {
  program
    .command('machine')
    .description('the machines behind the flows, and behind the runtime')
    .command('export')
    .description('export a machine as text or as a picture')
    .argument(
      '[machine]',
      `${Object.keys(BUILT_IN).join(', ')}; or a module of your own, such as ./machine.js or ./flows.ts#appointment`,
    )
    .addOption(new Option('-f, --format <format>', 'in which form').choices(EXPORT_FORMATS).default('mermaid'))
    .option('-o, --out <file>', 'write it to a file that does not exist yet, instead of printing it')
    .option('--force', 'replace the file if it exists', false)
    .option('--check', 'only tell whether it can be exported whole; without a machine: all that are built in', false)
    .action(run);
}

async function run(name: string | undefined, options: ExportCommand): Promise<void> {
  if (options.check) {
    const machines = name === undefined ? Object.entries(BUILT_IN) : await machinesOf(name);
    return check(machines);
  }
  if (name === undefined) throw new InvalidArgumentError(`Which machine? ${known()}`);
  const machines = await machinesOf(name);
  if (machines.length > 1) {
    const choices = machines.map(([each]) => each).join(', ');
    throw new InvalidArgumentError(`There are several machines. Choose one of ${choices}.`);
  }
  const { format, out, force } = options;
  if (out !== undefined && !force) await assertFree(out);
  if (out === undefined && format === 'png' && process.stdout.isTTY)
    throw new InvalidArgumentError('A PNG is not for reading. Say where to write it with --out FILE.');
  const text = await exportMachine(machines[0]![1], { format });
  if (out === undefined) print(text);
  else await write(out, text, force);
}

function print(text: string | Uint8Array): void {
  // Whoever reads may have seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.stdout.write(text);
}

function check(machines: [name: string, machine: AnyStateMachine][]): void {
  for (const [name, machine] of machines) {
    const findings = checkMachine(machine);
    if (findings.length === 0) console.log(`${name}: can be exported whole`);
    else {
      console.error(`${name}: ${new MachineNotExportableError(machine.id, findings).message}`);
      process.exitCode = 1;
    }
  }
}

const known = () =>
  `These are built in: ${Object.keys(BUILT_IN).join(', ')}. A machine of your own is named by its module, such as ./machine.js or ./flows.ts#appointment.`;

/** The machines that a name stands for: one that is built in, or what a module exports. */
async function machinesOf(name: string): Promise<[name: string, machine: AnyStateMachine][]> {
  const builtIn = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
  if (builtIn) return [[name, builtIn]];
  const [file = '', wanted] = name.split('#', 2);
  if (!/[/\\]|\.[cm]?[jt]sx?$/.test(file)) {
    throw new InvalidArgumentError(`There is no machine '${name}'. ${known()}`);
  }
  const exported = await importModule(file);
  const machines = named(exported).flatMap(([key, value]): [string, AnyStateMachine][] => {
    const machine = machineOf(value);
    return machine ? [[`${file}#${key}`, machine]] : [];
  });
  if (wanted !== undefined) {
    const found = machines.find(([each]) => each === `${file}#${wanted}`);
    if (found) return [found];
    const instead = machines.length > 0 ? ` It exports ${machines.map(([each]) => each).join(', ')}.` : '';
    throw new InvalidArgumentError(`${file} exports no machine, and no flow of one, as '${wanted}'.${instead}`);
  }
  if (machines.length === 0) throw new InvalidArgumentError(`${file} exports no machine, and no flow of one.`);
  // A machine that is exported by two names, as itself and as a flow, is one.
  const first = machines[0]!;
  return machines.every(([, machine]) => machine === first[1]) ? [first] : machines;
}

/** What a module exports, by name; flows may be in lists, where those count that it does not export by themselves. */
function named(exported: Record<string, unknown>): [name: string, value: unknown][] {
  const alone = new Set(Object.values(exported).map(machineOf));
  return Object.entries(exported).flatMap(([key, value]): [string, unknown][] => {
    if (!Array.isArray(value)) return [[key, value]];
    const entries = value.map((each, i): [string, unknown] => [`${key}.${i}`, each]);
    return entries.filter(([, each]) => !alone.has(machineOf(each)));
  });
}

function machineOf(value: unknown): AnyStateMachine | undefined {
  const machine = isMachine(value) ? value : (value as { logic?: unknown } | null | undefined)?.logic;
  return isMachine(machine) ? machine : undefined;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

async function assertFree(file: string): Promise<void> {
  if (await exists(file)) throw taken(file);
}

const taken = (file: string) =>
  new InvalidArgumentError(`${file} exists already. Choose another file, or replace it with --force.`);

/** The whole file or none of it: written beside it, then moved to its name. */
async function write(file: string, content: string | Uint8Array, force: boolean): Promise<void> {
  const beside = `${file}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await writeFile(beside, content, { flag: 'wx' });
    if (force) await rename(beside, file);
    else await linkNew(beside, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new InvalidArgumentError(`There is no folder ${dirname(resolve(file))}.`);
    if (code === 'EISDIR' || code === 'ENOTDIR') throw new InvalidArgumentError(`${file} is not a place for a file.`);
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
      throw new InvalidArgumentError(`${file} may not be written by this user.`);
    throw error;
  } finally {
    await rm(beside, { force: true });
  }
}

/** Unlike a move, a link never replaces a file that has come into being meanwhile. */
async function linkNew(beside: string, file: string): Promise<void> {
  try {
    await link(beside, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw taken(file);
    if (code === 'ENOENT') throw error;
    await rename(beside, file); // a file system without links
  }
}
