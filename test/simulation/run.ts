/** `npm run simulate`: bundles the simulator, and runs it with the options that were given. */
import { spawnSync } from 'node:child_process';
import { bundle } from './bundle.ts';

const { status } = spawnSync(process.execPath, [await bundle('simulate'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
