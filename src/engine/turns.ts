import type { Engine } from './engine.ts';

/** What takes turns: the engine itself, or a transaction that is open on it. */
export type Turns = Pick<
  Engine,
  'post' | 'read' | 'row' | 'spawn' | 'ensure' | 'remove' | 'write' | 'retry' | 'observe' | 'after' | 'composer'
>;
