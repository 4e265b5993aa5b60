import type { Command } from 'commander';
import { formatInstant } from '../../clock.ts';
import { InvalidArgumentError } from '../../errors.ts';
import { withService } from '../connect.ts';
import { takingModule } from '../flows-module.ts';
import { change, type ListOptions, listing, look, type Options, target } from '../operations.ts';
import { facts, table } from '../output.ts';

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
          ['flow version', String(it.flow_version)],
          ['changes', String(it.version)],
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
        .argument('[actor]', `${ACTOR}; with --all or --flow, none`),
    ),
  )
    .option('--all', 'everybody who was put aside')
    .option('--flow <type>', 'everybody of this flow who was put aside')
    .action((actor: string | undefined, module: string | undefined, { all, flow, ...options }: Options & Many) => {
      // Without an actor, the first word is the module.
      if (all || flow !== undefined) return retryMany({ ...options, module: actor ?? module }, flow);
      if (actor === undefined)
        throw new InvalidArgumentError('Name the actor, like conversation/p_1; or say --all, or --flow and its type.');
      return change({ ...options, module }, `${pathOf(actor)}/retry`, {}, () => `${actor} goes on.`);
    });

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

interface Many {
  all?: boolean;
  flow?: string;
}

/** Actors that are read at once. */
const PAGE = 100;
/** Some were not let go on. */
const REFUSED = 2;

/** Lets go on whoever was put aside, page by page; those who are refused stay as they are, and are told of. */
async function retryMany(
  { module, json, ...options }: Options & { module?: string | undefined },
  flow: string | undefined,
): Promise<void> {
  const retried: string[] = [];
  const refused: { actor: string; error: string }[] = [];
  await withService({ ...options, changes: { module } }, async (ask) => {
    for (let after: number | undefined; ; ) {
      const query = new URLSearchParams({
        limit: String(PAGE),
        ...(flow !== undefined && { flow }),
        ...(after !== undefined && { after: String(after) }),
      });
      const page: { id: number; flow: string; participant: string }[] = await ask('GET', `/quarantine?${query}`);
      for (const { flow, participant } of page) {
        const actor = `${flow}/${participant}`;
        await ask('POST', `${pathOf(actor)}/retry`, {}).then(
          () => retried.push(actor),
          (error: Error) => refused.push({ actor, error: error.message }),
        );
      }
      if (page.length > 0) console.error(`${retried.length} go on, ${refused.length} stay in quarantine`);
      if (page.length < PAGE) return;
      after = page.at(-1)?.id;
    }
  });
  if (json) console.log(JSON.stringify({ retried, refused }, null, 2));
  else if (retried.length + refused.length === 0) console.log('Nobody is quarantined.');
  else for (const { actor, error } of refused) console.log(`${actor} stays in quarantine: ${error}`);
  if (refused.length > 0) process.exitCode = REFUSED;
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
