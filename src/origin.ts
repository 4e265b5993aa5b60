/**
 * Tells requests that are for this server, and from its own pages, from those that a page of somebody else makes in the
 * browser of a person who may reach it. Two things can be foreign:
 *
 * - The **host** that was asked for. Where a stranger's name leads to this machine's address (DNS rebinding), the browser takes
 *   the stranger's page and this server for one origin. The Host header still has the stranger's name.
 * - The **origin** of the page that asks. A browser sends it with everything that could change something; newer ones also tell
 *   by Sec-Fetch-Site how the page is related to what it asks. Programs send neither.
 */
import type { IncomingMessage } from 'node:http';

/** What requests are told by. */
export type Asking = Pick<IncomingMessage, 'method' | 'headers' | 'socket'>;

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

/**
 * Whether the request asks for a host that is not this server: neither a name of the loopback, nor the address that the
 * connection came to, nor one of `hosts`.
 * @param hosts names with or without a port, or `'*'` for any
 */
export function isForeignHost({ headers, socket }: Asking, hosts: readonly string[]): boolean {
  if (hosts.includes('*')) return false;
  const asked = hostOf(headers.host);
  if (!asked) return true;
  if (LOOPBACK.includes(asked.name) || asked.name === socket.localAddress?.replace(/^::ffff:/, '')) return false;
  return !hosts.some((host) => {
    const allowed = hostOf(host);
    return allowed?.name === asked.name && (allowed.port === '' || allowed.port === asked.port);
  });
}

/**
 * Whether a page of another origin makes the request.
 * @param hosts whose pages count as own, besides those of the host that is asked for. `undefined`: the host that is asked for
 *   may be another one than the browser's, as behind a proxy, and the browser's word is taken for where the page is from
 */
export function isForeignOrigin({ method, headers }: Asking, hosts: readonly string[] | undefined): boolean {
  const { origin } = headers;
  const site = headers['sec-fetch-site'] ?? 'same-origin';
  const isRelated = site === 'same-origin' || site === 'none';
  if (origin === undefined) return !isRelated && !isVisit(method, headers);
  const page = pageOf(origin);
  if (!page) return true;
  if (hosts?.some((host) => isSame(hostOf(host), page))) return false;
  if (isSame(hostOf(headers.host), page)) return !isRelated;
  return !(hosts === undefined && headers['sec-fetch-site'] === 'same-origin');
}

/** A person follows a link to this server: nothing is changed, and the page that has the link sees nothing of the answer. */
const isVisit = (method: string | undefined, headers: Asking['headers']) =>
  (method === 'GET' || method === 'HEAD') &&
  headers['sec-fetch-mode'] === 'navigate' &&
  headers['sec-fetch-dest'] === 'document';

interface Host {
  name: string;
  /** Empty: the one that goes without saying. */
  port: string;
}

const isSame = (host: Host | undefined, page: Host) =>
  host !== undefined &&
  host.name === page.name &&
  (host.port === '80' || host.port === '443' ? '' : host.port) === page.port;

function pageOf(origin: string): Host | undefined {
  const [, host] = /^https?:\/\/([^/]+)$/i.exec(origin) ?? [];
  const page = hostOf(host);
  return page && (page.port === '80' || page.port === '443') ? { ...page, port: '' } : page;
}

/** Reads `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`. */
function hostOf(text: string | undefined): Host | undefined {
  const [, name, port = ''] = /^(\[[\da-f:.]+\]|[^\s:/@[\]]+)(?::(\d{1,5}))?$/i.exec(text ?? '') ?? [];
  return name === undefined ? undefined : { name: name.toLowerCase().replace(/^\[|\]$|\.$/g, ''), port };
}
