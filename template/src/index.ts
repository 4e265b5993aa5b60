/** The service: a page to chat on, and the HTTP routes behind it. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import Fastify, { type FastifyError } from 'fastify';
import { createRuntime, PerdureError } from 'perdure';
import { checkInFlow } from './flow.ts';

const { DATABASE = 'app.db', PORT = '3000' } = process.env;

const runtime = createRuntime({
  database: `sqlite:${DATABASE}`,
  flows: [checkInFlow],
  // Hand messages to WhatsApp, SMS or e-mail here; the page reads them from the database. `idempotencyKey` names a message.
  transport: { send: ({ to, text }) => console.log(`→ ${to}: ${text}`) },
});

const app = Fastify();

app.get('/', async (_, reply) =>
  reply.type('text/html').send(await readFile(new URL('../public/index.html', import.meta.url))),
);

app.post<{ Body: { name: string } }>('/people', async (request, reply) => {
  const name = String(request.body?.name ?? '').trim();
  if (!name) return reply.code(400).send({ error: 'Please tell your name.' });
  const id = randomUUID();
  await runtime.spawn(checkInFlow, id, { input: { name } });
  return reply.code(201).send({ id });
});

app.get<{ Params: { id: string } }>('/people/:id', async ({ params: { id } }) => {
  const actor = runtime.actor(checkInFlow, id);
  const [{ context }, { state }, timers, messages] = await Promise.all([
    actor.getSnapshot(),
    actor.describe(),
    actor.timers(),
    runtime.messages(id),
  ]);
  return { state, answers: context.answers, messages, nextAt: timers[0]?.dueAt ?? null };
});

app.post<{ Params: { id: string }; Body: { id: string; text: string } }>('/people/:id/messages', async (request) => {
  const { id } = request.params;
  // The message's own id makes a repetition harmless; the answer comes once its effect is in the database.
  const message = { channel: 'web', id: request.body?.id, from: `web:${id}`, text: request.body?.text };
  const { status } = await runtime.receiveFor(checkInFlow, id, message);
  return { status };
});

app.setErrorHandler<FastifyError>((error, _, reply) => {
  const status = error instanceof PerdureError ? (error.code === 'ACTOR_NOT_FOUND' ? 404 : 400) : error.statusCode;
  reply.code(status ?? 500).send({ code: status ? error.code : 'INTERNAL', error: error.message });
});

await runtime.start();
console.log(`ready at ${await app.listen({ port: Number(PORT), host: '127.0.0.1' })}`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    await app.close();
    await runtime.stop();
    process.exit(0);
  });
}
