import { type Command, Option } from 'commander';
import { takingModule } from '../flows-module.ts';
import { change, type ListOptions, listing, look, type Options, target } from '../operations.ts';
import { facts, table } from '../output.ts';

/** `perdure dead-letters list | show | retry | discard`: the events that could not be applied. */
export function registerDeadLetters(program: Command): void {
  const letters = program.command('dead-letters').description('events that made an actor fail, and were put aside');

  listing(letters.command('list').description('what was put aside, and why'))
    .option('--participant <id>', 'only those of this one')
    .addOption(
      new Option('--status <status>', 'which of them').choices(['open', 'retried', 'discarded', 'all']).default('open'),
    )
    .action((options: ListOptions & { status: string }) =>
      look(options, '/dead-letters', (found) =>
        found.length === 0
          ? `There are no ${options.status === 'all' ? '' : `${options.status} `}dead letters.`
          : table(
              ['ID', 'ACTOR', 'KIND', 'AT', 'STATUS', 'EVENT', 'ERROR'],
              found.map((it: any) => [
                String(it.id),
                `${it.flow}/${it.participant}`,
                it.kind,
                it.at,
                it.status,
                briefly(it),
                it.error,
              ]),
            ),
      ),
    );

  target(letters.command('show').description('one of them'))
    .argument('<id>', 'as the list writes it')
    .action((id: string, options: Options) =>
      look(options, pathOf(id), (it) =>
        facts([
          ['id', String(it.id)],
          ['actor', `${it.flow}/${it.participant}`],
          ['kind', it.kind],
          ['child', it.target],
          ['at', it.at],
          ['status', it.status],
          ['resolved', it.resolved_at],
          ['error', it.error],
          ['event', it.event],
        ]),
      ),
    );

  target(
    takingModule(
      letters
        .command('retry')
        .description('apply it after all, in the state in which its actor is now')
        .argument('<id>', 'as the list writes it'),
    ),
  ).action((id: string, module: string | undefined, options: Options) =>
    change({ ...options, module }, `${pathOf(id)}/retry`, {}, (it) =>
      it.handled
        ? `Dead letter ${id} was applied; the actor is in ${it.state}.`
        : `Dead letter ${id} means nothing to the actor in ${it.state}, and changed nothing.`,
    ),
  );

  target(letters.command('discard').description('give it up; it is kept'))
    .argument('<id>', 'as the list writes it')
    .option('--reason <text>', 'kept beside the error')
    .action((id: string, { reason, ...options }: Options & { reason?: string }) =>
      change(options, `${pathOf(id)}/discard`, { reason }, () => `Dead letter ${id} was discarded.`),
    );
}

const pathOf = (id: string) => `/dead-letters/${encodeURIComponent(id)}`;

const briefly = ({ kind, event }: { kind: string; event: any }): string =>
  kind === 'message' ? `“${event.text}”` : String(event?.type ?? event);
