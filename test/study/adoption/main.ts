/** Adopts a file and is killed after so many rows. */
import { adopt } from '../../../src/study/adoption/index.ts';
import { AT } from './promptpipe.ts';

const [, , file, after] = process.argv;
let rows = 0;
await adopt({
  file: file!,
  clock: { now: () => AT },
  onRow: () => {
    if (++rows >= Number(after)) process.kill(process.pid, 'SIGKILL');
  },
});
