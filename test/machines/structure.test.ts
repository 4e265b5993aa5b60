/** The rules that let tools read a machine file: one literal, every state described, everything named. */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import type { AnyStateMachine } from 'xstate';
import { conversationMachine } from '../../machines/conversation.ts';
import { microHealthInterventionMachine } from '../../machines/micro-health-intervention.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';

const machines: [file: string, machine: AnyStateMachine][] = [
  ['micro-health-intervention', microHealthInterventionMachine],
  ['conversation', conversationMachine],
  ['supervisor', supervisorMachine],
];

interface Found {
  states: { path: string; config: any }[];
  actions: Set<string>;
  guards: Set<string>;
  delays: Set<string>;
  actors: Set<string>;
  functions: string[];
}

const list = (value: unknown): any[] => (value === undefined ? [] : [value].flat());

/** All that a machine's config holds, found in the plain object. */
function survey(machine: AnyStateMachine): Found {
  const found: Found = {
    states: [],
    actions: new Set(),
    guards: new Set(),
    delays: new Set(),
    actors: new Set(),
    functions: [],
  };
  const transitions = (value: unknown) => {
    for (const each of list(value)) {
      if (typeof each !== 'object') continue;
      for (const action of list(each.actions)) found.actions.add(action.type ?? action);
      if (each.guard !== undefined) found.guards.add(each.guard.type ?? each.guard);
    }
  };
  const state = (config: any, path: string) => {
    found.states.push({ path, config });
    for (const action of [...list(config.entry), ...list(config.exit)]) found.actions.add(action.type ?? action);
    for (const each of Object.values(config.on ?? {})) transitions(each);
    for (const [delay, each] of Object.entries(config.after ?? {})) {
      found.delays.add(delay);
      transitions(each);
    }
    transitions(config.always);
    transitions(config.onDone);
    for (const invocation of list(config.invoke)) {
      found.actors.add(invocation.src);
      transitions(invocation.onDone);
      transitions(invocation.onError);
    }
    for (const [key, child] of Object.entries(config.states ?? {})) state(child, path ? `${path}.${key}` : key);
  };
  state(machine.config, '');
  const functions = (value: unknown, path: string) => {
    if (typeof value === 'function') found.functions.push(path);
    else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) functions(inner, `${path}.${key}`);
    }
  };
  functions(machine.config, 'config');
  return found;
}

/** The object literal given to `createMachine` in a file. */
function literalOf(file: string): ts.ObjectLiteralExpression {
  const url = new URL(`../../machines/${file}.ts`, import.meta.url);
  const source = ts.createSourceFile(file, readFileSync(url, 'utf8'), ts.ScriptTarget.Latest, true);
  const literals: ts.ObjectLiteralExpression[] = [];
  const visit = (node: ts.Node): void => {
    const name =
      ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression) && node.expression.name.text;
    if (name === 'createMachine') {
      const [argument] = (node as ts.CallExpression).arguments;
      if (argument && ts.isObjectLiteralExpression(argument)) literals.push(argument);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  expect(literals).toHaveLength(1);
  return literals[0]!;
}

describe.each(machines)('%s', (file, machine) => {
  const found = survey(machine);

  it('has a description of every state', () => {
    expect(found.states.length).toBeGreaterThan(5);
    expect(found.states.filter(({ config }) => !config.description?.trim()).map(({ path }) => path)).toEqual([]);
  });

  it('is plain data: no functions but context and invoke input', () => {
    expect(found.functions.filter((path) => path !== 'config.context' && !/\.invoke\.input$/.test(path))).toEqual([]);
  });

  it.each(['actions', 'guards', 'delays', 'actors'] as const)('provides every one of its %s, and no other', (kind) => {
    expect([...found[kind]].sort()).toEqual(Object.keys(machine.implementations[kind]).sort());
  });

  it('is one literal: no spreads, no states from elsewhere', () => {
    const strange: string[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isSpreadAssignment(node) || ts.isSpreadElement(node) || ts.isShorthandPropertyAssignment(node)) {
        strange.push(node.getText());
      } else if (ts.isPropertyAssignment(node)) {
        if (ts.isArrowFunction(node.initializer)) return;
        // A text that is put together from several is lost on the tools.
        const parts = [ts.isIdentifier, ts.isCallExpression, ts.isBinaryExpression];
        if (parts.some((is) => is(node.initializer))) strange.push(node.getText());
      }
      ts.forEachChild(node, visit);
    };
    visit(literalOf(file));
    expect(strange).toEqual([]);
  });

  it('imports from the machine floor, its texts and xstate only', () => {
    const text = readFileSync(new URL(`../../machines/${file}.ts`, import.meta.url), 'utf8');
    const imports = ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName);
    const allowed = ['../src/machine/index.ts', `./texts/${file}.ts`, 'xstate'];
    expect(imports.filter((name) => !allowed.includes(name))).toEqual([]);
    expect(text).not.toMatch(/Date\.now|Math\.random|new Date\(\)/);
  });
});

it('names the states as the domain does', () => {
  const keys = (machine: AnyStateMachine) => survey(machine).states.map(({ path }) => path);
  expect(keys(microHealthInterventionMachine)).toEqual(
    expect.arrayContaining(
      [
        ...['ORIENTATION', 'COMMITMENT_PROMPT', 'FEELING_PROMPT', 'RANDOM_ASSIGNMENT', 'SEND_INTERVENTION_IMMEDIATE'],
        ...['SEND_INTERVENTION_REFLECTIVE', 'REINFORCEMENT_FOLLOWUP', 'DID_YOU_GET_A_CHANCE', 'CONTEXT_QUESTION'],
        ...[
          'MOOD_QUESTION',
          'BARRIER_CHECK_AFTER_CONTEXT_MOOD',
          'BARRIER_REASON_NO_CHANCE',
          'IGNORED_PATH',
          'END_OF_DAY',
        ],
      ].map((name) => `PARTICIPATING.day.${name}`),
    ),
  );
  expect(keys(microHealthInterventionMachine)).toContain('COMPLETE');
  expect(keys(conversationMachine)).toContain('CONVERSATION_ACTIVE');
});
