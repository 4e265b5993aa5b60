/** Where the server listens: who else could reach it there, whether it is free, and how this machine finds it. */
import { lookup } from 'node:dns/promises';
import { type AddressInfo, BlockList, isIPv6 } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { type Duration, milliseconds } from '../../duration.ts';
import { InvalidArgumentError } from '../../errors.ts';

export interface ListenOptions {
  port: number;
  host: string;
  wait: Duration;
}

/** The address of a host, and whether only this machine can reach it. */
export interface Place {
  address: string;
  isLoopback: boolean;
}

/** @throws {InvalidArgumentError} there is no such host */
export async function placeOf({ host, port }: Pick<ListenOptions, 'host' | 'port'>): Promise<Place> {
  if (host.trim() === '') throw new InvalidArgumentError('--host is empty. Name an address, like 127.0.0.1.');
  const { address, family } = await lookup(host, { verbatim: false }).catch((error) => {
    throw listenError(error, { host, port });
  });
  return { address, isLoopback: LOOPBACK.check(address, family === 6 ? 'ipv6' : 'ipv4') };
}

/**
 * How many connections may wait to be accepted; the system may have a smaller limit. One that finds no room tries again after 1 s, 3 s, 7 s
 * and 15 s: with Node's own 511, some of 2,000 that came at once waited for 16 s.
 */
const BACKLOG = 4_096;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/**
 * Listens; resolves to the URL under which this machine finds the server. A former process that is about to end holds the
 * port as it holds the file: `wait` is for both.
 * @throws {InvalidArgumentError} the port or the address cannot be had
 */
export async function listen(
  app: FastifyInstance,
  { address }: Place,
  { port, host, wait }: ListenOptions,
  signal: AbortSignal,
): Promise<string> {
  const until = Date.now() + milliseconds(wait);
  for (;;) {
    const error = await app.listen({ port, host: address, backlog: BACKLOG }).then(
      () => undefined,
      (error: Error & { code?: string }) => error,
    );
    signal.throwIfAborted();
    if (!error) return urlOf(host, (app.server.address() as AddressInfo).port);
    if (error.code !== 'EADDRINUSE' || Date.now() >= until) throw listenError(error, { host, port });
    await setTimeout(100);
  }
}

function listenError(error: Error & { code?: string }, { host, port }: Pick<ListenOptions, 'host' | 'port'>): Error {
  const advice: Record<string, string> = {
    EADDRINUSE: `Port ${port} is in use. Stop the program that listens there, or choose another one with --port.`,
    EACCES: `Port ${port} may not be used by this user. Choose one above 1023 with --port.`,
    EADDRNOTAVAIL: `${host} is not an address of this machine. Choose another one with --host.`,
    ENOTFOUND: `There is no host '${host}'. Choose another one with --host.`,
    EAI_AGAIN: `The host '${host}' cannot be looked up now. Name an address with --host.`,
  };
  const message = advice[error.code ?? ''];
  return message ? new InvalidArgumentError(message, { cause: error }) : error;
}

function urlOf(host: string, port: number): string {
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${isIPv6(near) ? `[${near}]` : near}:${port}`;
}
