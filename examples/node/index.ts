/** Plain Node: `node:http` and nothing else. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { createShop, explain } from '../orders.ts';

const shop = createShop(`sqlite:${process.env['DATABASE'] ?? 'shop.db'}`);

async function answer(request: IncomingMessage): Promise<[status: number, body: object]> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  const [path, id = '', action] = pathname.split('/').slice(1).map(decodeURIComponent);
  const route = `${request.method} /${path}${id && '/:id'}${action ? `/${action}` : ''}`;
  switch (route) {
    case 'POST /orders':
      return [201, await shop.place(await json(request))];
    case 'POST /orders/:id/pay':
      return [200, await shop.pay(id)];
    case 'GET /orders/:id':
      return [200, await shop.find(id)];
    default:
      return [404, { error: 'There is nothing here.' }];
  }
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request).catch((error) => {
    const explained = explain(error);
    return [explained.status, explained] as const;
  });
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});

await shop.start();
server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () =>
  console.log(`ready at http://127.0.0.1:${(server.address() as AddressInfo).port}`),
);

process.once('SIGTERM', async () => {
  server.close();
  server.closeIdleConnections();
  await shop.runtime.stop();
  process.exit(0);
});
