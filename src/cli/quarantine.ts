import type { Command } from 'commander';
import { InvalidArgumentError } from '../errors.ts';
import { type ListOptions, listing, type Options, run, target } from './operations.ts';
import { facts, table } from './output.ts';

/** `perdure quarantine list | show | retry | discard`: the actors that were put aside. */
export function registerQuarantine(program: Command): void {
  const quarantine = program.command('quarantine').description('actors that were put aside, since they kept failing');

  listing(quarantine.command('list').description('who was put aside, and why'))
    .option('--participant <id>', 'only this one')
    .action((options: ListOptions) =>
      run(options, '/quarantine', (found) =>
        found.length === 0
          ? 'Nobody is quarantined.'
          : table(
              ['ACTOR', 'STATE', 'SINCE', 'ERROR'],
              found.map((it: any) => [`${it.flow}/${it.participant}`, it.state, it.since, it.error]),
            ),
      ),
    );

  target(quarantine.command('show').description('one of them, with its last good state'))
    .argument('<actor>', ACTOR)
    .action((actor: string, options: Options) =>
      run(options, pathOf(actor), (it) =>
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
              : it.timers.map((timer: any) => `${new Date(timer.dueAt).toISOString()}  ${timer.event.type}`).join('\n'),
          ],
          ['context', it.context],
          ['state_data', it.state_data],
        ]),
      ),
    );

  target(
    quarantine.command('retry').description('let it go on from its last good state, once what made it fail is mended'),
  )
    .argument('<actor>', ACTOR)
    .action((actor: string, options: Options) => run(options, `${pathOf(actor)}/retry`, () => `${actor} goes on.`, {}));

  target(quarantine.command('discard').description('end it; its row and its history are kept'))
    .argument('<actor>', ACTOR)
    .option('--reason <text>', 'kept in its row and its journal')
    .action((actor: string, options: Options & { reason?: string }) =>
      run(options, `${pathOf(actor)}/discard`, () => `${actor} has ended.`, { reason: options.reason }),
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
