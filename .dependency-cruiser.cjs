// The floors of the building, lowest first. A file imports from its own floor or below, never from above.
const floors = [
  [
    'vocabulary',
    '^src/(errors|sentence|thrown|well-formed|duration|clock|events|cache|immediate|packages|origin)\\.ts$|^src/machine/|^machines/',
  ],
  ['actor', '^src/actor/'],
  ['store', '^src/(store|flow|inspection)/|^migrations/'],
  ['engine', '^src/engine/'],
  ['services', '^src/(messaging|operations|evolution)/|^src/transaction/(?!api)'],
  ['recovery', '^src/recovery/'],
  ['runtime', '^src/runtime/|^src/transaction/api|^src/index\\.ts$'],
  ['faces', '^src/(http(?!/index)|console|testing|exports|opentelemetry)/'],
  ['study', '^src/study/(?!cli)|^src/http/index\\.ts$'],
  ['cli', '^src/cli/|^src/study/cli/'],
];

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'xstate-internals-behind-one-door',
      comment: 'Only src/actor may look inside XState; everything else uses its public types.',
      severity: 'error',
      from: { pathNot: '^src/(actor|machine|study|testing|exports)/|^machines/|^src/runtime/lifecycle\\.ts$' },
      to: { path: 'node_modules/xstate', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'the-database-behind-one-seam',
      comment: 'Only src/store speaks to the database; the study has tables of its own, and tests a driver that fails.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(store|study|testing)/' },
      to: { path: 'node_modules/(knex|sqlite3)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'the-database-behind-one-seam-types-too',
      comment: "An application's transaction and handle are Knex's; nobody else knows of it.",
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(store|study|testing|transaction|runtime)/' },
      to: { path: 'node_modules/(knex|sqlite3)/' },
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
