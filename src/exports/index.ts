/**
 * Machines in other forms (JSON, source, Mermaid, SCXML, pictures), and live actors in Stately's inspector.
 *
 * @module perdure/stately
 */

export { type InspectorOptions, type InspectorServer, serveInspector } from '../inspection/inspector.ts';
export { checkMachine, type Finding } from './check.ts';
export { EXPORT_FORMATS, type ExportFormat, type ExportOptions, exportMachine } from './export.ts';
export { toMermaid } from './formats/mermaid.ts';
