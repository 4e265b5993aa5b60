/** Both flows: a life with a death at every point, and what the explorer finds within a few steps. */
import { describe, expect, it } from 'vitest';
import type { InterventionEvent, InterventionState } from '../../machines/micro-health-intervention.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { crashEverywhere, explore } from '../../src/testing/index.ts';

const ADA = '+15551234567';

describe('the micro health intervention', () => {
  const options = {
    input: { participantId: 'p_1', name: 'Ada', timezone: 'Europe/Berlin' },
    phoneNumber: ADA,
  };

  it('does the same wherever it crashes', async () => {
    const report = await crashEverywhere(
      microHealthInterventionFlow,
      [
        { receive: 'Ready' },
        { receive: '1' },
        { receive: 'perhaps' },
        { advance: '15m' },
        { advance: '30m' },
        { receive: 'no' },
        { send: { type: 'pause' } },
        { advance: '1d' },
        { send: { type: 'resume' } },
      ],
      options,
    );
    expect(report.crashes).toBeGreaterThan(200);
  });

  it('is explored', async () => {
    const reply = (text: string) => ({ type: 'reply' as const, text });
    const states = Object.keys(microHealthInterventionFlow.logic.states['PARTICIPATING']!.states['day']!.states);
    const byOperators: InterventionEvent[] = [
      ...[...states, 'COMPLETE'].map((to) => ({ type: 'advance' as const, to: to as InterventionState })),
      ...(['weeklySummary', 'reset', 'complete'] as const).map((type) => ({ type })),
      { type: 'update', timezone: 'Asia/Kolkata' },
      { type: 'update', dailyPromptTime: '07:30' },
    ];
    const report = await explore(microHealthInterventionFlow, {
      ...options,
      input: { ...options.input, studyDays: 1 },
      events: (snapshot) => [
        ...['ready', '1', '2', '4', 'done', 'no', 'a few words', ''].map(reply),
        ...(['pause', 'resume', 'withdraw', 'rejoin'] as const).map((type) => ({ type })),
        // From one state: the operator's events do the same in all others.
        ...(snapshot.hasTag('asking') ? [] : byOperators),
      ],
      depth: 5,
      serializeState: ({ value, context }) => [value, context.paused],
      coverage: { states: 1, transitions: 0.9 },
    });
    expect(report.crashes).toBeGreaterThan(200);
  });
});

describe('the conversation', () => {
  const flow = createConversationFlow({ generate: async () => ({ text: 'never called' }) });
  const options = { input: { participantId: 'p_1', systemPrompt: 'Be kind.' }, phoneNumber: ADA };

  it('does the same wherever it crashes', async () => {
    const report = await crashEverywhere(
      flow,
      [
        { resolve: 'generateReply', with: { text: 'Hello!' } },
        { receive: 'Hi' },
        { receive: 'Are you there?' },
        { reject: 'generateReply', with: 'overloaded' },
        { advance: '125s' },
        { advance: '30s' },
        { resolve: 'generateReply', with: { text: '' } },
        { receive: 'STOP' },
        { receive: 'START' },
        { send: { type: 'complete' } },
      ],
      options,
    );
    expect(report.crashes).toBeGreaterThan(200);
  });

  it('is explored', async () => {
    const report = await explore(flow, {
      ...options,
      events: [
        { type: 'reply', text: 'Hi' },
        { type: 'reply', text: ' ' },
        ...(['pause', 'resume', 'withdraw', 'rejoin', 'complete', 'reset'] as const).map((type) => ({ type })),
        { type: 'update', name: 'Ada' },
      ],
      outcomes: { generateReply: { resolve: [{ text: 'Hello!' }, { text: '' }] } },
      depth: 7,
      coverage: { states: 1, transitions: 0.96, outcomes: 1 },
    });
    expect(report.crashes).toBeGreaterThan(100);
    // The rest is for those who had opted out before they were enrolled.
    const { transitions } = await explore(flow, {
      ...options,
      input: { ...options.input, optedOut: true },
      events: [{ type: 'withdraw' }, { type: 'rejoin' }],
      depth: 3,
    });
    expect(report.transitions.missed.filter((transition) => transitions.missed.includes(transition))).toEqual([]);
  });
});
