import { describe, expect, it } from 'vitest';
import { and, createMachine, emit, not, setup } from 'xstate';
import { conversationMachine } from '../../machines/conversation.ts';
import { microHealthInterventionMachine } from '../../machines/micro-health-intervention.ts';
import { toMermaid } from '../../src/exports/index.ts';

describe('a machine as a Mermaid diagram', () => {
  it('shows states, regions, guards, deadlines, invocations and what is done within a state', () => {
    const machine = setup({
      guards: { brave: () => true, tired: () => false, over: (_, __: { than: number }) => true },
      actions: { greet: () => {}, note: () => {} },
      delays: { patience: 1000 },
      actors: { child: createMachine({}) },
    }).createMachine({
      initial: 'idle',
      states: {
        idle: {
          entry: 'greet',
          on: { GO: { target: 'busy', guard: and(['brave', not('tired')]) }, NOTE: { actions: 'note' } },
        },
        busy: {
          type: 'parallel',
          on: { STOP: 'over' },
          exit: 'note',
          states: {
            left: {
              initial: 'a',
              states: {
                a: { after: { patience: 'b' } },
                b: { always: { target: 'a', guard: { type: 'over', params: { than: 3 } } } },
              },
            },
            'right side': { invoke: { src: 'child', onDone: { target: '#(machine).over', actions: 'note' } } },
          },
        },
        over: { type: 'final' },
      },
    });
    expect(toMermaid(machine)).toMatchInlineSnapshot(`
      "stateDiagram-v2
        state "idle" as idle
        idle : entry / greet
        idle : NOTE / note
        state "busy" as busy {
          state "left" as busy_left {
            state "a" as busy_left_a
            state "b" as busy_left_b
            [*] --> busy_left_a
          }
          --
          state "right side" as busy_right_side
          busy_right_side : invoke / child
        }
        note right of busy
          exit / note
        end note
        state "over" as over
        over --> [*]
        state "GO [and(brave, not(tired))]" as idle_to_busy
        state "STOP" as busy_to_over
        state "done / note" as busy_right_side_to_over
        [*] --> idle
        idle --> idle_to_busy
        idle_to_busy --> busy
        busy --> busy_to_over
        busy_to_over --> over
        busy_left_a --> busy_left_b : after patience (1 s)
        busy_left_b --> busy_left_a : always [over 3]
        busy_right_side --> busy_right_side_to_over
        busy_right_side_to_over --> over
        style idle_to_busy fill:none,stroke:none
        style busy_to_over fill:none,stroke:none
        style busy_right_side_to_over fill:none,stroke:none
      "
    `);
  });

  it.each([
    ['intervention', microHealthInterventionMachine],
    ['conversation', conversationMachine],
  ] as const)('has every state of the %s', (_, machine) => {
    const diagram = toMermaid(machine as never);
    const keys = (node: { states: Record<string, any> }): string[] =>
      Object.entries(node.states).flatMap(([key, child]) => [key, ...keys(child)]);
    for (const key of keys(machine.root as never)) expect(diagram).toContain(`state "${key}" as `);
    // A line has one colon at most besides those of the syntax.
    for (const line of diagram.split('\n').filter((each) => !/accDescr|^ *style /.test(each)))
      expect(line.split(':').length).toBeLessThanOrEqual(2);
  });

  // Each of these is parsed by Mermaid 11, which then fails when it draws it, or draws nothing of the text.
  it('does not divide regions with arrows between nested states, which Mermaid cannot draw then', () => {
    const divides = (left: object) =>
      toMermaid(createMachine({ type: 'parallel', states: { left, right: {} } } as never)).includes('--\n');
    const on = { initial: 'slow', states: { slow: {} } };
    expect(divides({ initial: 'off', states: { off: {}, on } })).toBe(true);
    expect(divides({ initial: 'off', states: { off: { on: { GO: 'on' } }, on } })).toBe(false);
    expect(divides({ initial: 'off', states: { off: {}, on: { ...on, on: { AGAIN: 'on' } } } })).toBe(false);
    expect(divides({ initial: 'on', states: { on } })).toBe(false);
    expect(divides({ initial: 'off', states: { off: {}, on, past: { type: 'history', target: 'on' } } })).toBe(false);
  });

  it('frames a machine that something leads away from', () => {
    const states = { a: { on: { AGAIN: '#loop' } }, b: {} };
    const machine = createMachine({ id: 'loop', initial: 'a', on: { REST: '.b' }, states });
    expect(toMermaid(machine)).toContain('state "loop" as loop {');
    expect(toMermaid(machine)).toContain('a : AGAIN → loop\n');
    expect(toMermaid(machine)).toContain('note right of loop\n    REST → b\n');
  });

  it('gives the label of an arrow to or from a frame a place of its own, and one arrow to what leads the same way', () => {
    const diagram = toMermaid(
      createMachine({
        initial: 'asking',
        states: {
          asking: {
            initial: 'a',
            on: { CANCEL: 'over', 'GO "on"': 'over', BACK: '.a' },
            states: { a: { on: { NEXT: 'b', SKIP: 'b' } }, b: { on: { END: '#(machine).over' } } },
          },
          over: {},
          asking_to_over: {},
        },
      }),
    );
    const lines = diagram.split('\n').map((line) => line.trim());
    expect(lines).toEqual(
      expect.arrayContaining([
        `state "CANCEL<br/>GO 'on'" as asking_to_over_2`,
        'asking --> asking_to_over_2',
        'asking_to_over_2 --> over',
        'style asking_to_over_2 fill:none,stroke:none',
        'asking_b --> asking_b_to_over',
        'asking_a --> asking_b : NEXT<br/>SKIP',
        'BACK → a',
      ]),
    );
    expect(lines.filter((line) => line.startsWith('asking --> '))).toHaveLength(1);
  });

  it('gives states no name that Mermaid stumbles over', () => {
    const diagram = toMermaid(createMachine({ initial: 'root', states: { root: {}, constructor: {}, end: {} } }));
    for (const name of ['root_', 'constructor_', 'end_']) expect(diagram).toMatch(new RegExp(` as ${name}$`, 'm'));
  });

  it('shows names that look like elements or entities', () => {
    const diagram = toMermaid(
      createMachine({ initial: '<a>', states: { '<a>': { on: { '<go> & "stay"': '#1;' } }, '#1;': { id: '1;' } } }),
    );
    expect(diagram).toContain('state "#lt;a#gt;" as ');
    expect(diagram).toContain('state "#35;1;" as ');
    expect(diagram).toContain(' : #lt;go#gt; & "stay"\n');
  });

  it('says what is said, and which of several answers a guard takes', () => {
    const asks = setup({
      types: { events: {} as { type: 'reply' }, emitted: {} as { type: 'message'; text: string } },
      guards: { says: (_, id: string) => id === '1' },
    }).createMachine({
      initial: 'asking',
      states: {
        asking: {
          entry: emit({ type: 'message', text: 'Shall we send it?\n1. Yes\n2. No' }),
          exit: emit({ type: 'message', text: 'Thank you; that was all that we wanted to 🙂 know of you.' }),
          on: {
            reply: [{ guard: { type: 'says', params: '1' }, target: 'sent' }, { guard: { type: 'says', params: '2' } }],
          },
        },
        sent: { entry: emit({ type: 'message', text: '<b>It</b>: {sent} #1' }) },
      },
    });
    const diagram = toMermaid(asks);
    expect(diagram).toContain('asking : entry / emit message “Shall we send it?…”\n');
    expect(diagram).toContain('asking : exit / emit message “Thank you· that was all that we wanted t…”\n');
    expect(diagram).toContain('asking --> sent : reply [says 1]\n');
    expect(diagram).toContain('sent : entry / emit message “#lt;b#gt;It#lt;/b#gt;· ·sent· ·1”\n');
  });
});
