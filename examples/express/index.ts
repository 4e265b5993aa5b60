/** Express 5: async handlers, one error handler, and a stop that lets requests end first. */
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler } from 'express';
import { createShop, explain } from '../orders.ts';

const shop = createShop(`sqlite:${process.env['DATABASE'] ?? 'shop.db'}`);
const app = express();
app.use(express.json());

app.post('/orders', async (request, response) => {
  response.status(201).json(await shop.place(request.body));
});
app.post('/orders/:id/pay', async (request, response) => {
  response.json(await shop.pay(request.params.id));
});
app.get('/orders/:id', async (request, response) => {
  response.json(await shop.find(request.params.id));
});

const onError: ErrorRequestHandler = (error, _request, response, _next) => {
  const explained = explain(error);
  response.status(explained.status).json(explained);
};
app.use(onError);

await shop.start();
const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () =>
  console.log(`ready at http://127.0.0.1:${(server.address() as AddressInfo).port}`),
);

process.once('SIGTERM', async () => {
  server.close();
  server.closeIdleConnections();
  await shop.runtime.stop();
  process.exit(0);
});
