import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { call } from '../../cli/client.ts';
import { InvalidArgumentError } from '../../errors.ts';

interface Said {
  id: string;
  direction: 'in' | 'out';
  text: string;
}

/** `perdure chat PHONE`: what the participant is sent is printed, what is typed is sent as the participant's message. */
export async function chat(phone: string, { url, flow }: { url: string; flow: string }): Promise<void> {
  if (flow !== 'intervention' && flow !== 'conversation') {
    throw new InvalidArgumentError(`There is no flow '${flow}'. Write --flow intervention or --flow conversation.`);
  }
  const [known] = await call(url, `/${flow}/participants?phone_number=${encodeURIComponent(phone)}`);
  const { id, phone_number } = known ?? (await call(url, `/${flow}/participants`, { phone_number: phone }));
  console.log(`You are ${phone_number} (${id}). Type a message, or press Ctrl-D to leave.\n`);

  const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' });
  const lines = terminal[Symbol.asyncIterator](); // from here on, so that no line is missed
  const leaving = new AbortController();
  terminal.on('close', () => leaving.abort());
  const printed = new Set<string>();
  const print = async () => {
    const said: Said[] = await call(url, `/participants/${encodeURIComponent(id)}/messages`);
    for (const message of said) {
      if (message.direction === 'in' || printed.has(message.id)) continue;
      printed.add(message.id);
      process.stdout.write(`\r\x1b[K${message.text}\n\n`);
      terminal.prompt(true);
    }
  };
  await print();
  terminal.prompt();
  let trouble: unknown;
  const watching = (async () => {
    while (!leaving.signal.aborted) {
      await print();
      await delay(500, undefined, { signal: leaving.signal }).catch(() => {});
    }
  })().catch((error: unknown) => {
    trouble = error;
    terminal.close(); // nobody has to press a key to hear of it
  });
  for await (const line of lines) {
    if (line.trim())
      await call(url, '/messages', { channel: 'terminal', id: randomUUID(), from: phone_number, text: line });
    await print();
    terminal.prompt();
  }
  await watching;
  if (trouble) throw trouble;
}
