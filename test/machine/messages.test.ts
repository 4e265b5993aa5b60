import { describe, expect, it } from 'vitest';
import { withAmbient } from '../../src/machine/ambient.ts';
import { message, now, random, sendToActor } from '../../src/machine/index.ts';

describe('message', () => {
  it('is the payload of an outgoing message', () => {
    expect(message('Hello')).toEqual({ type: 'message', text: 'Hello' });
    expect(message('Hello', [])).toEqual({ type: 'message', text: 'Hello' });
  });

  it('lists its options in the text, and keeps only what a transport needs', () => {
    const options = [
      { id: '1', label: 'Yes', synonyms: ['y'] },
      { id: '2', label: 'No' },
    ];
    expect(message('Ready?', options)).toEqual({
      type: 'message',
      text: 'Ready?\n1. Yes\n2. No',
      options: [
        { id: '1', label: 'Yes' },
        { id: '2', label: 'No' },
      ],
    });
  });
});

describe('sendToActor', () => {
  it('is the payload of a durable event', () => {
    const to = { flowType: 'conversation', participantId: 'p_1' };
    expect(sendToActor(to, { type: 'pause' })).toEqual({ type: 'perdure.send', to, event: { type: 'pause' } });
  });
});

describe('now, random', () => {
  it('are those of the turn', () => {
    withAmbient({ now: () => 42, random: () => 0.25 }, () => expect([now(), random()]).toEqual([42, 0.25]));
    expect(now()).toBeGreaterThan(42);
  });
});
