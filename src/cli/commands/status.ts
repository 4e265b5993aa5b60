import type { RuntimeFigures } from '../../runtime/figures.ts';
import { send, TokenWanted } from '../client.ts';
import { databaseIn, OR_URL } from '../database.ts';
import { facts, table } from '../output.ts';

/** As service managers have it: the program is not running, or not well. */
const NOT_WELL = 3;

/** `perdure status`: what the server on a database does, in figures since its start. */
export async function status(options: { database: string; url?: string; json: boolean }): Promise<void> {
  const figures = await figuresOf(options);
  if (!(figures?.status === 'running' && figures.health === 'healthy')) process.exitCode = NOT_WELL;
  if (options.json) console.log(JSON.stringify(figures ?? { status: 'stopped' }, null, 2));
  else
    console.log(
      figures
        ? print(figures)
        : `No server runs on ${options.database}, or none that tells where it listens. Start one with 'perdure start', or name your application's with --url.`,
    );
}

type Answer = RuntimeFigures & { pid: number; now?: string };

async function figuresOf({ database, url }: { database: string; url?: string }): Promise<Answer | undefined> {
  if (url !== undefined) return send(url, 'GET', '/status');
  const { server } = await databaseIn(database, OR_URL);
  // One that died has left its address, where another server may listen by now.
  const answer: Answer | undefined = server && (await send(server.url, 'GET', '/status').catch(isNobodys));
  return answer?.pid === server?.pid ? answer : undefined;
}

function isNobodys(error: unknown): undefined {
  if (error instanceof TokenWanted) throw error;
}

function print({ status, health, troubles, flows, messages, recovering, recovered, pid, now }: Answer): string {
  const { done, total, component } = recovering ?? {};
  const lines = facts([
    ['status', status],
    ['health', [health, ...Object.values(troubles)].join('\n')],
    ['recovering', component && `${component}: ${done}${total === undefined ? '' : ` of ${total}`}`],
    ['recovered', recovered.map(({ component, summary }) => `${component}: ${summary}`).join('\n') || undefined],
    ['messages', `${messages.sent} sent, ${messages.failed} failed`],
    ['time', now],
    ['process', String(pid)],
  ]);
  const rows = Object.entries(flows).map(([type, flow]) => [
    type,
    ...[flow.version, flow.turns, flow.failures, flow.restarts, flow.invocationFailures].map(String),
    ...[flow.quarantined, flow.deadLetters].map(String),
    flow.strategy,
  ]);
  const headings = 'FLOW VERSION TURNS FAILED RESTARTED INVOCATIONS-FAILED QUARANTINED DEAD-LETTERS SUPERVISION';
  return `${lines}\n\n${table(headings.split(' '), rows)}`;
}
