/** `npm run torture -- --kills 300 [--seed S]`: the kill campaign in its long form, and as many purchases that die. */
import { parseArgs } from 'node:util';
import { campaign } from './campaign.ts';
import { buyAndDie } from './purchases.ts';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '300' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const kills = Number(values.kills);
console.log(`seed ${seed}`);
const reports = [await campaign({ kills, seed }), await buyAndDie({ kills, seed })];
for (const report of reports) console.log(report);
process.exit(reports.some(({ violations }) => violations.length > 0) ? 1 : 0);
