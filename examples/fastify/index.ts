/** Fastify: the runtime lives and ends with the app, as a plugin that decorates it. */
import Fastify from 'fastify';
import { createShop, explain, type Shop } from '../orders.ts';

declare module 'fastify' {
  interface FastifyInstance {
    shop: Shop;
  }
}

const app = Fastify();
const shop = createShop(`sqlite:${process.env['DATABASE'] ?? 'shop.db'}`);
app.decorate('shop', shop);
app.addHook('onReady', () => shop.start());
app.addHook('onClose', () => shop.runtime.stop());

app.setErrorHandler((error, _, reply) => {
  const explained = explain(error);
  reply.code(explained.status).send(explained);
});

app.post('/orders', async ({ body }, reply) => {
  reply.code(201);
  return app.shop.place(body);
});
app.post<{ Params: { id: string } }>('/orders/:id/pay', ({ params }) => app.shop.pay(params.id));
app.get<{ Params: { id: string } }>('/orders/:id', ({ params }) => app.shop.find(params.id));

console.log(`ready at ${await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' })}`);

process.once('SIGTERM', async () => {
  await app.close();
  process.exit(0);
});
