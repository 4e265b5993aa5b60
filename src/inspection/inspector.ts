/**
 * A window on a runtime's live actors: a page that shows them in Stately's inspector, and the WebSocket that it listens to,
 * which any receiver of `@statelyai/inspect` can listen to as well.
 *
 * The server of `@statelyai/inspect` itself does not fit: it listens on every address, to every web page, and repeats the
 * last 200 messages, where a newcomer needs the present state of each actor. Here each listener is an observer of its own,
 * from when it connects until it leaves; with none, nothing is done.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { InvalidArgumentError } from '../errors.ts';
import { isForeignHost, isForeignOrigin } from '../origin.ts';
import { assertInstalled } from '../packages.ts';
import type { InspectOptions, StatelyInspector } from './inspection.ts';
import { inspectorPage } from './inspector-page.ts';

/** Where the window is, and what it shows. */
export interface InspectorOptions {
  /** Default: 8080, where receivers look. 0: any that is free. */
  port?: number;
  /** Default: `'127.0.0.1'`: this machine only. There is no password. */
  host?: string;
  /** Shows participants' data and ids as they are. Default: false. */
  unmasked?: boolean;
}

/** A window that is open. */
export interface InspectorServer {
  /** The page. With `?flow=` and `&participant=` it shows only those. */
  readonly url: string;
  /** Closes it; resolves once nobody is connected any more. */
  close(): Promise<void>;
}

/** A listener that is so many bytes behind is let go: it has to look again. */
const PATIENCE = 32 * 1024 * 1024;

/** A runtime, as far as the inspector needs it. */
export interface Inspectable {
  /** Begins to tell an observer of the live actors; call the result to end it. */
  inspect(inspector: StatelyInspector, options?: InspectOptions): () => void;
}

/**
 * Opens the window; resolves once it listens.
 * @throws {InvalidArgumentError} the port is taken
 * @throws {PackageMissingError} `ws` or `@statelyai/inspect` is not installed
 */
export async function serveInspector(
  runtime: Inspectable,
  { port = 8080, host = '127.0.0.1', unmasked = false }: InspectorOptions = {},
): Promise<InspectorServer> {
  assertInstalled('The inspector', 'ws', '@statelyai/inspect');
  const { WebSocketServer } = await import('ws');
  const { createInspector } = await import('@statelyai/inspect');
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer((request, response) => {
    if (isForeign(request, host)) return void response.writeHead(403).end();
    response.writeHead(200, HEADERS);
    response.end(inspectorPage(unmasked));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (isForeign(request, host))
      return void socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n', () => socket.destroy());
    sockets.handleUpgrade(request, socket, head, (listener) => show(listener, request));
  });

  function show(listener: WebSocket, { url = '/' }: IncomingMessage): void {
    const query = new URL(url, 'http://inspector').searchParams;
    const send = (message: { sessionId: string; rootId?: string | undefined }) => {
      if (listener.bufferedAmount > PATIENCE) return listener.terminate();
      // The package does not say whose child an actor is where it is fed by hand.
      listener.send(JSON.stringify({ ...message, rootId: message.sessionId.replace(/\/x:[\w.:]+$/, '') }));
    };
    const inspector = createInspector({ send } as never, { serializationDepthLimit: 100 });
    const [flow, participantId] = [query.get('flow'), query.get('participant')];
    try {
      const end = runtime.inspect(inspector, {
        unmasked,
        ...(flow && { flow }),
        ...(participantId && { participantId }),
      });
      listener.on('close', end);
    } catch (error) {
      listener.close(1008, (error as Error).message.slice(0, 120));
    }
    listener.on('error', () => listener.terminate());
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: Error & { code?: string }) => reject(listenError(error, host, port)));
    server.listen(port, host, resolve);
  });
  const { address, family, port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}/`,
    close: async () => {
      for (const listener of sockets.clients) listener.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A stranger's page neither gets the page nor may listen. */
const isForeign = (request: IncomingMessage, host: string): boolean =>
  isForeignHost(request, [host]) || isForeignOrigin(request, []);

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

const listenError = (error: Error & { code?: string }, host: string, port: number): Error =>
  error.code === 'EADDRINUSE'
    ? new InvalidArgumentError(`Port ${port} is in use on ${host}. Choose another one for the inspector.`, {
        cause: error,
      })
    : error;
