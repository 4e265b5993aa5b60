import type { Command } from 'commander';
import { formatInstant } from '../clock.ts';
import { InvalidArgumentError } from '../errors.ts';
import { takingModule } from './flows-module.ts';
import { change, type ListOptions, listing, look, type Options, target } from './operations.ts';
import { facts, table } from './output.ts';

/** `perdure quarantine list | show | retry | discard`: the actors that were put aside. */
export function registerQuarantine(program: Command): void {
  const quarantine = program.command('quarantine').description('actors that were put aside, since they kept failing');

  listing(quarantine.command('list').description('who was put aside, and why'))
    .option('--participant <id>', 'only this one')
    .action((options: ListOptions) =>
      look(options, '/quarantine', (found) =>
        found.length === 0
          ? 'Nobody is quarantined.'
          : table(
              ['ACTOR', 'STATE', 'SINCE', 'ERROR'],
              found.map((it: any) => [`${it.flow}/${it.participant}`, it.state, it.since ?? 'unknown', it.error]),
            ),
      ),
    );

  target(quarantine.command('show').description('one of them, with its last good state'))
    .argument('<actor>', ACTOR)
    .action((actor: string, options: Options) =>
      look(options, pathOf(actor), (it) =>
        facts([
          ['actor', `${it.flow}/${it.participant}`],
          ['state', it.state],
          ['since', it.since],
          ['version', String(it.version)],
          ['error', it.error],
          [
            'deadlines',
            it.timers.length === 0
              ? undefined
              : it.timers.map((timer: any) => `${formatInstant(timer.dueAt)}  ${timer.event.type}`).join('\n'),
          ],
          ['context', it.context],
          ['state_data', it.state_data],
        ]),
      ),
    );

  target(
    takingModule(
      quarantine
        .command('retry')
        .description('let it go on from its last good state, once what made it fail is mended')
        .argument('<actor>', ACTOR),
    ),
  ).action((actor: string, module: string | undefined, options: Options) =>
    change({ ...options, module }, `${pathOf(actor)}/retry`, {}, () => `${actor} goes on.`),
  );

  target(
    takingModule(
      quarantine.command('discard').description('end it; its row and its history are kept').argument('<actor>', ACTOR),
    ),
  )
    .option('--reason <text>', 'kept in its row and its journal')
    .action((actor: string, module: string | undefined, { reason, ...options }: Options & { reason?: string }) =>
      change({ ...options, module }, `${pathOf(actor)}/discard`, { reason }, () => `${actor} has ended.`),
    );
}

const ACTOR = "as the list writes it: the flow's type, a slash, the participant's id";

function pathOf(actor: string): string {
  const [, flow, participant] = /^([^/]+)\/(.+)$/s.exec(actor) ?? [];
  if (!flow || !participant) {
    throw new InvalidArgumentError(
      `'${actor}' names no actor. Write the flow's type, a slash, and the participant's id, like conversation/p_1.`,
    );
  }
  return `/quarantine/${encodeURIComponent(flow)}/${encodeURIComponent(participant)}`;
}
