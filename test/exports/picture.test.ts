import { createRequire } from 'node:module';
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createMachine } from 'xstate';
import { exportMachine } from '../../src/exports/index.ts';
import { nodesOf } from '../../src/exports/labels.ts';
import { machines } from './machines.ts';

const { xml2js } = createRequire(new URL('./tools/package.json', import.meta.url))('xml-js');

describe.each(machines)('the picture of %s', (_, machine) => {
  it('is well-formed and names every state, guard and actor', async () => {
    const svg = await exportMachine(machine, { format: 'svg' });
    const texts: string[] = [];
    const visit = (element: any) => {
      if (element.type === 'text') texts.push(element.text);
      for (const each of element.elements ?? []) visit(each);
    };
    visit(xml2js(svg));
    const all = texts.join('\n');
    for (const node of nodesOf(machine.root)) {
      if (node.type !== 'history') expect(all).toContain(node.path.length > 0 ? node.key : machine.id);
      for (const { src } of node.invoke) expect(all).toContain(`invoke / ${src}`);
      for (const word of node.description?.split(/\s+/) ?? []) expect(all).toContain(word);
    }
    for (const guard of Object.keys(machine.implementations.guards)) expect(all).toMatch(new RegExp(`[[(]${guard}\\b`));
  });
});

/** Arrows in, out of and between frames, in both directions. */
const trip = createMachine({
  id: 'trip',
  initial: 'planning',
  states: {
    planning: {
      initial: 'asking',
      on: { cancel: 'cancelled', skipEverything: 'travelling' },
      after: { 86400000: 'cancelled' },
      states: {
        asking: { on: { reply: 'choosing', startAgain: { target: '#trip.planning', reenter: true } } },
        choosing: { on: { chosenByEverybody: '#trip.travelling', nobodyHasChosen: 'asking' } },
      },
    },
    travelling: {
      initial: 'onTheWay',
      on: { restart: 'planning', lost: '.searching', home: 'done' },
      states: {
        onTheWay: { on: { arrive: 'there' } },
        there: { type: 'final' },
        searching: { on: { found: 'onTheWay' } },
      },
      onDone: 'done',
    },
    cancelled: { type: 'final' },
    done: { type: 'final' },
  },
});

it.each([...machines, ['trip', trip] as const])(
  'draws no label of %s under a box, or on the border of a frame',
  async (_, machine) => {
    const svg = await exportMachine(machine, { format: 'svg' });
    const boxesOf = (pattern: RegExp) => [...svg.matchAll(pattern)].map(([, points]) => boxOf(points!));
    const labels = boxesOf(/<polygon fill="#ffffff" fill-opacity="[\d.]+" stroke="none" points="([^"]*)"/g);
    const frames = boxesOf(/class="cluster">\n(?:<g[^>]*>.*\n)?(?:<title>.*<\/title>\n)?<path [^>]*? d="([^"]*)"/g);
    const boxes = boxesOf(/<path fill="#ffffff" stroke="none" d="([^"]*)"/g);
    expect(labels.length * boxes.length).toBeGreaterThan(0);
    expect(frames).toHaveLength(svg.split('class="cluster"').length - 1);
    const hidden = labels.filter(
      (label) =>
        boxes.some((box) => meet(label, box)) || frames.some((frame) => meet(label, frame) && !holds(frame, label)),
    );
    expect(hidden).toEqual([]);
  },
);

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Around all points of a path or a polygon. */
function boxOf(points: string): Box {
  const all = [...points.matchAll(/(-?[\d.]+),(-?[\d.]+)/g)];
  const [xs, ys] = [all.map(([, x]) => Number(x)), all.map(([, , y]) => Number(y))];
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}
const meet = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const holds = (a: Box, b: Box) => a.left <= b.left && b.right <= a.right && a.top <= b.top && b.bottom <= a.bottom;

it('names the machine where something leads to it as a whole, and draws no arrow to nowhere', async () => {
  const states = { a: { on: { AGAIN: '#loop' } }, b: {} };
  for (const shape of [{ initial: 'a' }, { type: 'parallel' }]) {
    const svg = await exportMachine(createMachine({ id: 'loop', ...shape, states } as never), { format: 'svg' });
    expect(svg).toContain('AGAIN → loop');
    expect(svg).not.toMatch(/>s0</);
  }
});

describe('a PNG', () => {
  it('is twice the size of the picture, with letters, on a machine that has no fonts', async () => {
    const machine = machines.find(([name]) => name === 'supervisor')![1];
    const [svg, png] = [
      await exportMachine(machine, { format: 'svg' }),
      await exportMachine(machine, { format: 'png' }),
    ];
    const { width, height, pixels } = decode(Buffer.from(png));
    const [, ...size] = /width="(\d+)pt" height="(\d+)pt"/.exec(svg)!;
    // A point is 4/3 of a pixel.
    expect([width, height]).toEqual(size.map((each) => expect.closeTo((Number(each) * 4 * 2) / 3, -1)));
    // The same picture without its letters: what is dark there is lines.
    const { toPng } = await import('../../src/exports/formats/png.ts');
    const lines = decode(Buffer.from(await toPng(svg.replaceAll(/<text .*<\/text>\n/g, '')))).pixels;
    const letters = pixels.filter((value, i) => value < 100 && lines[i]! >= 100).length;
    expect(letters).toBeGreaterThan(20_000);
  });
});

/** The size of a PNG, and its first channel, of those that are made here: 8 bits, RGBA, not interlaced. */
function decode(png: Buffer): { width: number; height: number; pixels: Uint8Array } {
  expect(png.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a');
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  expect([...png.subarray(24, 29)]).toEqual([8, 6, 0, 0, 0]);
  const data = inflateSync(Buffer.concat(parts));
  const stride = width * 4;
  const rows = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = data[y * (stride + 1)]!;
    for (let x = 0; x < stride; x++) {
      const raw = data[y * (stride + 1) + 1 + x]!;
      const a = x >= 4 ? rows[y * stride + x - 4]! : 0;
      const b = y > 0 ? rows[(y - 1) * stride + x]! : 0;
      const c = x >= 4 && y > 0 ? rows[(y - 1) * stride + x - 4]! : 0;
      const p = a + b - c;
      const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
      const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
      rows[y * stride + x] = raw + [0, a, b, (a + b) >> 1, paeth][filter]!;
    }
  }
  const pixels = Uint8Array.from({ length: width * height }, (_, i) => rows[i * 4]!);
  return { width, height, pixels };
}
