import { type Command, Option } from 'commander';
import { change, type ListOptions, listing, look, type Options, target } from '../operations.ts';
import { facts, table } from '../output.ts';

/** `perdure undelivered list | show | resend | discard`: the messages that did not arrive. */
export function registerUndelivered(program: Command): void {
  const messages = program.command('undelivered').description('messages that did not arrive');

  listing(messages.command('list').description('which they are, and why'))
    .option('--participant <id>', 'only those of this one')
    .addOption(new Option('--status <status>', 'which of them; all by default').choices(['failed', 'held', 'waiting']))
    .action((options: ListOptions) =>
      look(options, '/undelivered', (found) =>
        found.length === 0
          ? 'There are no undelivered messages.'
          : table(
              ['ID', 'FROM', 'TO', 'KIND', 'AT', 'STATUS', 'WHAT', 'ERROR'],
              found.map((it: any) => [
                String(it.id),
                senderOf(it),
                it.to,
                it.kind,
                it.at,
                it.status,
                briefly(it),
                it.error ?? '',
              ]),
            ),
      ),
    );

  target(messages.command('show').description('one of them'))
    .argument('<id>', 'as the list writes it')
    .action((id: string, options: Options) =>
      look(options, pathOf(id), (it) =>
        facts([
          ['id', String(it.id)],
          ['from', senderOf(it)],
          ['to', it.to],
          ['kind', it.kind],
          ['at', it.at],
          ['status', it.status],
          ['attempts', String(it.attempts)],
          ['key', it.idempotency_key],
          ['error', it.error],
          ['payload', it.payload],
        ]),
      ),
    );

  target(messages.command('resend').description('have it sent again'))
    .argument('<id>', 'as the list writes it')
    .action((id: string, options: Options) =>
      change(options, `${pathOf(id)}/resend`, {}, () => `Undelivered message ${id} is sent again.`),
    );

  target(messages.command('discard').description('give it up; its row is kept'))
    .argument('<id>', 'as the list writes it')
    .option('--reason <text>', 'kept beside the error')
    .action((id: string, { reason, ...options }: Options & { reason?: string }) =>
      change(options, `${pathOf(id)}/discard`, { reason }, () => `Undelivered message ${id} was discarded.`),
    );
}

const pathOf = (id: string) => `/undelivered/${encodeURIComponent(id)}`;

const senderOf = ({ flow, participant }: { flow: string | null; participant: string | null }) =>
  flow === null ? 'nobody' : `${flow}/${participant}`;

const briefly = ({ kind, payload }: { kind: string; payload: any }): string => {
  if (payload === null) return 'it cannot be read';
  return kind === 'event' ? String(payload.event?.type) : `“${payload.text}”`;
};
