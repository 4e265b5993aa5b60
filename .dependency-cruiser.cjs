// The floors of the building, lowest first. A file imports from its own floor or below, never from above.
const floors = [
  ['foundation', '^src/(errors|sentence|duration|clock|events|cache|immediate)\\.ts$|^src/machine/'],
  ['actor', '^src/actor/'],
  ['store', '^src/store/|^migrations/'],
  ['flow', '^src/(flow|keyword-rules|keyword-languages|migrations|versions|supervision)\\.ts$'],
  ['engine', '^src/engine/'],
  ['messaging', '^src/messaging/'],
  ['operations', '^src/operations/'],
  ['recovery', '^src/recovery/'],
  ['evolution', '^src/evolution/'],
  ['supervisor', '^src/(supervisor|registry)\\.ts$|^machines/supervisor\\.ts$'],
  ['runtime', '^src/(runtime|runtime-options|actor-handle|transaction|logging|index)\\.ts$'],
  ['flows', '^src/flows/|^machines/(?!supervisor)'],
  ['surface', '^src/(http|cli|testing|stately|opentelemetry)/'],
];

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'xstate-internals-behind-one-door',
      comment: 'Only src/actor may look inside XState; everything else uses its public types.',
      severity: 'error',
      from: { pathNot: '^src/(actor|machine|flows|testing|stately)/|^machines/|^src/supervisor\\.ts$' },
      to: { path: 'node_modules/xstate', dependencyTypesNot: ['type-only'] },
    },
    ...floors.slice(0, -1).map(([name, path], i) => ({
      name: `${name}-imports-downwards`,
      severity: 'error',
      from: { path },
      to: {
        path: floors
          .slice(i + 1)
          .map(([, higher]) => higher)
          .join('|'),
      },
    })),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
