// Puts packages into the one file that uses them, so that they are not installed with Perdure: each carries one small thing in
// many forms, 18 MB of which 250 KB are used. The types of such a file must name nothing of the package's.
import { cpSync, readdirSync } from 'node:fs';
import { build } from 'esbuild';

const INLINED = {
  'src/messaging/phone-numbers': ['libphonenumber-js'],
  'src/machine/calendar': ['temporal-polyfill', 'temporal-utils'],
  'src/cache': ['lru-cache'],
};

for (const [file, packages] of Object.entries(INLINED)) {
  await build({
    entryPoints: [`${file}.ts`],
    outfile: `dist/${file}.js`,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'es2022',
    banner: { js: `// With ${packages.join(' and ')}: see dist/licences.` },
    logLevel: 'warning',
  });
  for (const name of packages)
    for (const licence of readdirSync(`node_modules/${name}`).filter((each) => /^(licen[cs]e|authors)/i.test(each)))
      cpSync(`node_modules/${name}/${licence}`, `dist/licences/${name}/${licence}`);
}
