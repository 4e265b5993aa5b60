/** A process that buys in a transaction, and kills itself where it is told to: `inside`, or `after` the commit. */
import { createRuntime } from '../../src/index.ts';
import { counter } from '../guarantees/machines.ts';

const [file, where] = process.argv.slice(2);
const die = () => process.kill(process.pid, 'SIGKILL');

const runtime = createRuntime({ database: `sqlite:${file}`, flows: [counter], transport: { send: () => {} } });
await runtime.start();
// The first turn that is told of is one of the committed transaction; what it asks for has not happened yet.
if (where === 'after') runtime.on('turn', die);
await runtime.transaction(async (trx) => {
  await trx('orders').insert({ id: 'o_1' });
  await trx.actor(counter, 'p_1').send({ type: 'say', text: 'paid' });
  await (await trx.spawn(counter, 'p_2')).send({ type: 'inc' });
  if (where === 'inside') die();
});
