/** The life of a cell: held, idle, gone. */
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import type { Cell } from '../../src/engine/cell.ts';
import { Cells } from '../../src/engine/cells.ts';
import { Phase } from '../../src/engine/phase.ts';
import { EventChannel } from '../../src/events.ts';
import { Inspection } from '../../src/inspection/inspection.ts';
import { counter } from '../guarantees/machines.ts';

const cellsOf = (capacity: number) =>
  new Cells({
    flows: new Map([[counter.type, counter]]),
    clock: new SimulatedClock(),
    phase: new Phase(),
    events: new EventChannel(),
    inspection: new Inspection(() => {}),
    inspect: undefined,
    chance: () => 0,
    capacity,
    push: () => {},
  });

const at = (participantId: string) => ({ flowType: 'counter', participantId });
const names = (cells: Cells) => [...cells].map(({ address }) => address.participantId);

/** As if its row had been read. */
const read = (cell: Cell) => {
  cell.row = {} as never;
  return cell;
};

/** As if a promise of its ran, until the result is called. */
function running(cell: Cell): () => void {
  let size = 1;
  Object.defineProperty(cell.processes, 'size', { get: () => size });
  return () => {
    size = 0;
  };
}

describe('a cell', () => {
  it('counts the failures of its actor on, also where it has left memory in between', async () => {
    const cells = cellsOf(0);
    const policy = counter.supervision;
    const fail = (now: number) => cells.using(at('ada'), (cell) => read(cell).failures.another(policy, now, 0));
    expect([await fail(1), await fail(2), await fail(3)]).not.toContain(undefined);
    expect(names(cells)).toEqual([]);
    expect(await fail(4)).toBeUndefined();
    await cells.using(at('ada'), (cell) => cell.failures.forget());
    expect(await fail(5)).not.toBeUndefined();
  });

  it('is the same for all who hold it at once, and for who comes while it is idle', () => {
    const cells = cellsOf(2);
    const cell = cells.hold(at('ada'));
    expect(cells.hold(at('ada'))).toBe(cell);
    cells.release(cell);
    expect(cells.hold(at('ada'))).toBe(cell);
    cells.release(cell);
    cells.release(read(cell));
    expect(cells.hold(at('ada'))).toBe(cell);
  });

  it('stays while it is held, however many others come', () => {
    const cells = cellsOf(1);
    const ada = read(cells.hold(at('ada')));
    for (const id of ['bob', 'cy', 'dan']) cells.release(read(cells.hold(at(id))));
    expect(names(cells)).toEqual(['ada', 'dan']);
    expect(ada.row).toBeDefined();
    cells.release(ada);
    expect(names(cells)).toEqual(['ada']);
  });

  it('that was not used for longest goes first', () => {
    const cells = cellsOf(2);
    for (const id of ['ada', 'bob', 'ada', 'cy']) cells.release(read(cells.hold(at(id))));
    expect(names(cells)).toEqual(['ada', 'cy']);
  });

  it('is not kept where nothing is known of it: of nobody, or of one that was changed elsewhere', () => {
    const cells = cellsOf(2);
    cells.release(cells.hold(at('nobody')));
    const ada = read(cells.hold(at('ada')));
    ada.forget();
    cells.release(ada);
    cells.release(read(cells.hold(at('bob'))));
    cells.forget(at('bob'));
    expect(names(cells)).toEqual([]);
  });

  it('stays while a process of its runs, which would come back to another one', () => {
    const cells = cellsOf(1);
    const ada = read(cells.hold(at('ada')));
    const end = running(ada);
    cells.release(ada);
    for (const id of ['bob', 'cy']) cells.release(read(cells.hold(at(id))));
    cells.forget(at('ada'));
    expect(names(cells)).toEqual(['ada', 'cy']);
    expect(cells.hold(at('ada'))).toBe(ada);
    end();
    cells.release(ada);
    expect(names(cells)).toEqual(['cy']);
  });

  it('is forgotten in the hand of who holds it', () => {
    const cells = cellsOf(1);
    const ada = read(cells.hold(at('ada')));
    const { generation } = ada;
    cells.forget(at('ada'));
    expect(ada).toMatchObject({ row: undefined, generation: generation + 1 });
    expect(cells.hold(at('ada'))).toBe(ada);
  });

  it('is let go of also where its use fails', async () => {
    const cells = cellsOf(1);
    await expect(cells.using(at('ada'), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await cells.using(at('bob'), async (bob) => {
      await null;
      read(bob);
    });
    expect(names(cells)).toEqual(['bob']);
  });

  it('is kept nowhere while idle, where the cache has room for none', () => {
    const cells = cellsOf(0);
    const ada = read(cells.hold(at('ada')));
    expect(names(cells)).toEqual(['ada']);
    cells.release(ada);
    expect(names(cells)).toEqual([]);
  });

  it('of a flow that there is not, is refused', () => {
    expect(() => cellsOf(1).hold({ flowType: 'other', participantId: 'ada' })).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_FLOW' }),
    );
  });
});
