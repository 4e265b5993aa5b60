/** `npm run torture -- --kills 300 [--seed S]`: the kill campaign in its long form. */
import { parseArgs } from 'node:util';
import { campaign } from './campaign.ts';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '300' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
const report = await campaign({ kills: Number(values.kills), seed });
console.log(report);
process.exit(report.violations.length > 0 ? 1 : 0);
