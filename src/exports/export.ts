/** Exports of machines: text for Stately Studio, for XState, for other tools, and pictures. */
import type { AnyStateMachine } from 'xstate';
import { InvalidArgumentError } from '../errors.ts';
import { assertExportable } from './check.ts';
import { childMachines, isMachine } from './children.ts';
import { toMermaid } from './formats/mermaid.ts';
import { toPng } from './formats/png.ts';
import { toScxml } from './formats/scxml.ts';
import { toStatelyJson } from './formats/stately-json.ts';
import { toSvg } from './formats/svg.ts';
import { toXState } from './formats/xstate.ts';

/** In the order in which they are listed. */
export const EXPORT_FORMATS = ['stately-json', 'xstate', 'mermaid', 'scxml', 'svg', 'png'] as const;

/**
 * | format | what it is |
 * |---|---|
 * | `stately-json` | the machine's config as plain JSON |
 * | `xstate` | a TypeScript module with the config and stubs for what it names |
 * | `mermaid` | a `stateDiagram-v2` |
 * | `scxml` | W3C SCXML 1.0 |
 * | `svg`, `png` | a picture; needs `@hpcc-js/wasm-graphviz`, and a PNG `@resvg/resvg-js` and `@expo-google-fonts/arimo`, too |
 */
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** What to write a machine as. */
export interface ExportOptions<F extends ExportFormat = ExportFormat> {
  format: F;
}

/**
 * A machine in another form, together with the machines that it runs as actors.
 * @returns the text; for `png`, its bytes
 * @throws {MachineNotExportableError} it has inline functions where names are needed, values that are not plain data, or
 *   runs a machine that leads back to it
 * @throws {InvalidArgumentError} it is no machine, or there is no such format
 * @throws {PackageMissingError} a package that draws is not installed
 */
export async function exportMachine<F extends ExportFormat>(
  machine: AnyStateMachine,
  { format }: ExportOptions<F>,
): Promise<F extends 'png' ? Uint8Array : string> {
  return (await exported(machine, format)) as F extends 'png' ? Uint8Array : string;
}

async function exported(machine: AnyStateMachine, format: ExportFormat): Promise<string | Uint8Array> {
  if (!isMachine(machine)) {
    throw new InvalidArgumentError('Only machines can be exported: what setup(…).createMachine(…) gives.');
  }
  if (!EXPORT_FORMATS.includes(format)) {
    throw new InvalidArgumentError(
      `There is no format ${JSON.stringify(format)}. These are known: ${EXPORT_FORMATS.join(', ')}.`,
    );
  }
  assertExportable(machine);
  const { children } = childMachines(machine);
  switch (format) {
    case 'stately-json':
      return toStatelyJson(machine, children);
    case 'xstate':
      return toXState(machine, children);
    case 'mermaid':
      return toMermaid(machine, children);
    case 'scxml':
      return toScxml(machine);
    case 'svg':
      return toSvg(machine, children);
    case 'png':
      return toPng(await toSvg(machine, children));
  }
}
