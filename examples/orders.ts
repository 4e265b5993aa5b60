/** The shop behind all examples: a flow, a table of its own, and what can be done with both. */
import { createRuntime, defineFlow, type PerdureError } from 'perdure';
import { message } from 'perdure/machine';
import { emit, setup } from 'xstate';

/** An order waits 15 minutes to be paid, and is reminded of once. */
const orderFlow = defineFlow({
  type: 'order',
  version: 1,
  logic: setup({
    types: { context: {} as { customer: string }, input: {} as { customer: string }, events: {} as { type: 'pay' } },
    delays: { patience: 15 * 60_000 },
  }).createMachine({
    context: ({ input }) => ({ customer: input.customer }),
    initial: 'placed',
    states: {
      placed: {
        on: { pay: 'paid' },
        after: { patience: { actions: emit(({ context }) => message(`${context.customer}, your order waits.`)) } },
      },
      paid: { entry: emit(({ context }) => message(`Thank you, ${context.customer}!`)) },
    },
  }),
});

export type Shop = ReturnType<typeof createShop>;

/** @param database e.g. `sqlite:shop.db`, or the Knex instance that the application has */
export function createShop(database: string) {
  const runtime = createRuntime({
    database,
    flows: [orderFlow],
    transport: { send: ({ to, text }) => console.log(`to ${to}: ${text}`) },
  });
  return {
    runtime,

    async start(): Promise<void> {
      await runtime.start();
      if (!(await runtime.knex.schema.hasTable('orders')))
        await runtime.knex.schema.createTable('orders', (table) => {
          table.text('id').primary();
          table.text('customer').notNullable();
          table.text('status').notNullable();
        });
    },

    /**
     * The row and the actor come into being together, or not at all.
     * @param order as a request brought it
     */
    async place(order: unknown): Promise<Order> {
      const { id, customer } = Object(order) as Record<string, unknown>;
      if (typeof id !== 'string' || typeof customer !== 'string' || !id || !customer)
        throw new ShopError(400, 'An order needs an id and a customer.');
      await runtime.transaction(async (trx) => {
        // In here, nobody else can place it between the question and the answer.
        if (await trx('orders').where({ id }).first()) throw new ShopError(409, 'There is such an order.');
        await trx('orders').insert({ id, customer, status: 'placed' });
        await trx.spawn(orderFlow, id, { input: { customer } });
      });
      return this.find(id);
    },

    /** Paid once: the second time the flow has no transition for it, and nothing is written. */
    async pay(id: string): Promise<Order> {
      await runtime.transaction(async (trx) => {
        const { handled } = await trx.actor(orderFlow, id).send({ type: 'pay' });
        if (!handled) throw new ShopError(409, 'The order is paid already.');
        await trx('orders').where({ id }).update({ status: 'paid' });
      });
      return this.find(id);
    },

    async find(id: string): Promise<Order> {
      const actor = runtime.actor(orderFlow, id);
      const [{ state }, [timer], row] = await Promise.all([
        actor.describe(),
        actor.timers(),
        runtime.knex('orders').where({ id }).first(),
      ]);
      return { id, state, status: row.status, remindAt: timer?.dueAt ?? null };
    },
  };
}

export interface Order {
  id: string;
  /** Of the actor. */
  state: string;
  /** Of the row. */
  status: string;
  remindAt: number | null;
}

class ShopError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** As frameworks refuse a request. */
interface Refusal extends Error {
  statusCode: number;
}

/** What to answer for an error: its HTTP status and its message. */
export function explain(error: unknown): { status: number; error: string } {
  // By their fields and not by their classes: a bundler may have made several bundles, each with classes of its own.
  const { status, statusCode = status, code, message: reason } = error as Partial<ShopError & Refusal & PerdureError>;
  if (statusCode !== undefined) return { status: statusCode, error: reason! };
  if (error instanceof SyntaxError) return { status: 400, error: 'The body is not JSON.' };
  if (error instanceof URIError) return { status: 400, error: 'The address is not encoded as it should be.' };
  if (code === 'ACTOR_NOT_FOUND') return { status: 404, error: reason! };
  if (code === 'NOT_RUNNING') return { status: 503, error: reason! };
  console.error(error);
  // Its reason is not for everybody: it may have the statement, with its values.
  if (code === 'STORE_ERROR') return { status: 503, error: 'The database does not take this now.' };
  return { status: 500, error: 'Something went wrong.' };
}
