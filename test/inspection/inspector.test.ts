/** The window on live actors, with the real `@statelyai/inspect` on both ends. */
import { createInspector, createWebSocketReceiver } from '@statelyai/inspect';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type InspectorOptions, type InspectorServer, serveInspector } from '../../src/exports/index.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

type Message = { type: string; sessionId: string; rootId?: string; snapshot?: any; event?: any; [key: string]: any };

/** A listener, and a way to wait for what it hears. */
function listen(url: string): { heard: Message[]; until(matches: (message: Message) => boolean): Promise<Message> } {
  const heard: Message[] = [];
  const waiting = new Set<() => void>();
  createWebSocketReceiver({ server: url.replace('http', 'ws') }).subscribe((message) => {
    heard.push(message as Message);
    for (const look of waiting) look();
  });
  const until = (matches: (message: Message) => boolean) =>
    new Promise<Message>((resolve) => {
      const look = () => {
        const found = heard.find(matches);
        if (!found) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { heard, until };
}

describe('the inspector', () => {
  let runtime: TestRuntime;
  let server: InspectorServer | undefined;
  beforeEach(async () => {
    runtime = await createTestRuntime({ flows: [counter, microHealthInterventionFlow] });
  });
  afterEach(async () => {
    await server?.close();
    await runtime.stop();
  });
  const open = async (options: InspectorOptions = {}) => {
    server = await serveInspector(runtime.runtime, { port: 0, ...options });
    return server.url;
  };
  const participant = { input: { participantId: 'p_1', name: 'Ada' } };

  it('shows an actor that was restored after a restart in the state in which it is', async () => {
    const actor = await runtime.spawn(microHealthInterventionFlow, 'p_1', participant);
    await actor.send({ type: 'reply', text: 'ready' });
    await runtime.crash();
    await runtime.restart();
    const { until } = listen(await open({ unmasked: true }));
    await runtime.actor(microHealthInterventionFlow, 'p_1').getSnapshot();
    const sessionId = 'micro_health_intervention/p_1';
    const introduced = await until(({ type }) => type === '@xstate.actor');
    expect(introduced).toMatchObject({ name: sessionId, sessionId, rootId: sessionId, _version: expect.any(String) });
    expect(introduced.snapshot).toMatchObject({
      status: 'active',
      value: { PARTICIPATING: { day: 'COMMITMENT_PROMPT' } },
    });
    const shown = await until(({ type }) => type === '@xstate.snapshot');
    expect(shown.snapshot).toMatchObject({
      value: { PARTICIPATING: { day: 'COMMITMENT_PROMPT' } },
      context: { name: 'Ada' },
    });
    // The whole machine, down to the last parameter, for the picture beside it.
    const { states, ...rest } = JSON.parse(introduced['definition']);
    expect(rest).toMatchObject({ id: 'micro_health_intervention', initial: 'PARTICIPATING' });
    expect(states.PARTICIPATING.states.day.states.CONTEXT_QUESTION.on.reply[0].actions[0]).toEqual({
      type: 'noteChoice',
      params: { key: 'contextResponse', question: 'context' },
    });
  });

  it('shows each turn, to everyone who listens, with data masked', async () => {
    const url = await open();
    const actor = await runtime.spawn(microHealthInterventionFlow, 'p_1', participant);
    const [first, second] = [listen(url), listen(url)];
    for (const { until } of [first, second]) await until(({ type }) => type === '@xstate.snapshot');
    await actor.send({ type: 'reply', text: 'ready, said Ada' });
    for (const { heard, until } of [first, second]) {
      const event = await until((message) => message.event?.type === 'reply');
      expect(event.event).toEqual({ type: 'reply', text: expect.stringMatching(/^masked-/) });
      await until(({ type, event }) => type === '@xstate.snapshot' && event.type === 'reply');
      expect(JSON.stringify(heard)).not.toMatch(/Ada|p_1|ready, said/);
    }
  });

  it('shows only what the address asks for', async () => {
    await runtime.spawn(counter, 'a');
    await runtime.spawn(counter, 'b');
    await runtime.spawn(microHealthInterventionFlow, 'p_1', participant);
    const url = await open({ unmasked: true });
    const { heard, until } = listen(`${url}?flow=counter&participant=b`);
    await until(({ type }) => type === '@xstate.snapshot');
    await runtime.actor(counter, 'a').send({ type: 'inc' });
    await runtime.actor(counter, 'b').send({ type: 'inc' });
    await until(({ event }) => event?.type === 'inc');
    expect(new Set(heard.map(({ sessionId }) => sessionId))).toEqual(new Set(['counter/b']));
  });

  /** What becomes of an attempt to listen. */
  const attempt = (url: string, headers: Record<string, string> = {}) =>
    new Promise<string>((resolve) => {
      const socket = new WebSocket(url.replace('http', 'ws'), { headers });
      socket.on('error', (error) => resolve(error.message));
      socket.on('open', () => headers['origin'] && resolve('open'));
      socket.on('close', (code, reason) => resolve(`${code} ${reason}`));
    });

  it('is for this machine and its own page: other pages hear nothing', async () => {
    const url = await open();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const own = new URL(url).origin;
    expect(await attempt(url, { origin: own })).toBe('open');
    expect(await attempt(url, { origin: 'https://evil.example' })).toContain('403');
    expect(await attempt(url, { origin: 'http://evil.example', host: 'evil.example' })).toContain('403');
    expect(await attempt(`${url}?flow=none`)).toContain("1008 There is no flow 'none'");
    const page = await (await fetch(url)).text();
    expect(page).toContain('src="https://stately.ai/inspect"');
    expect(page).toContain('data are masked');
  });

  it('refuses a port that is taken', async () => {
    const url = await open();
    await expect(serveInspector(runtime.runtime, { port: Number(new URL(url).port) })).rejects.toThrow('is in use on');
  });

  it('feeds an inspector of the application’s own as well', async () => {
    const messages: Message[] = [];
    const inspector = createInspector({ send: (message) => messages.push(message as Message) });
    await runtime.spawn(counter, 'a');
    const end = runtime.runtime.inspect(inspector, { unmasked: true });
    await runtime.actor(counter, 'a').send({ type: 'inc' });
    end();
    expect(messages.map(({ type, sessionId }) => [type, sessionId])).toEqual([
      ['@xstate.actor', 'counter/a'],
      ['@xstate.snapshot', 'counter/a'],
      ['@xstate.event', 'counter/a'],
      ['@xstate.snapshot', 'counter/a'],
    ]);
    expect(messages.at(-1)!.snapshot.context.count).toBe(1);
  });
});
