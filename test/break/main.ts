import { bodies } from './bodies.js';
import { clocks } from './clocks.js';
import { cluster } from './cluster.js';
import { disk } from './disk.js';
import { files } from './files.js';
import { kills } from './kills.js';
import { soak } from './soak.js';
import { sockets } from './sockets.js';
import { streams } from './streams.js';
import { tableOf } from './table.js';
import { runTrial, type Bounds, type Trial } from './trial.js';

const BREAKERS: Record<string, (trial: Trial) => Promise<void>> = { bodies, streams, sockets, files, disk, clocks, kills, soak, cluster };

const usage = `usage: npm run break -- ${Object.keys(BREAKERS).join(' | ')} | all [--seed N] [--rounds N] [--minutes N] [--ci] [--json]\n`;

const [name = '', ...rest] = process.argv.slice(2);
const option = (wanted: string): number | undefined => {
  const at = rest.indexOf(`--${wanted}`);
  if (at < 0) return undefined;
  const value = Number(rest[at + 1]);
  if (rest[at + 1] === undefined || Number.isNaN(value)) {
    process.stderr.write(`--${wanted} must be a number\n`);
    process.exit(2);
  }
  return value;
};

const chosen = name === 'all' ? Object.keys(BREAKERS).filter((breaker) => breaker !== 'soak' && breaker !== 'cluster') : [name]; // an hour; and PostgreSQL, which may not be there
if (chosen.some((breaker) => BREAKERS[breaker] === undefined)) {
  process.stderr.write(usage);
  process.exit(2);
}
const bounds: Bounds = {
  seed: option('seed') ?? Math.floor(Math.random() * 1_000_000),
  rounds: option('rounds'),
  minutes: option('minutes'),
  isShort: rest.includes('--ci'),
  only: rest.includes('--only') ? (rest[rest.indexOf('--only') + 1] ?? '').split(',') : null,
};
for (const breaker of chosen) {
  process.stderr.write(`${breaker}: seed ${bounds.seed}\n`);
  const outcome = await runTrial(BREAKERS[breaker] as (trial: Trial) => Promise<void>, bounds); // checked above
  if (rest.includes('--json')) process.stdout.write(`${JSON.stringify({ breaker, ...outcome })}\n`);
  else if (outcome.rows.length > 0) process.stdout.write(`${tableOf(outcome.rows)}\n`);
  const counts = Object.entries(outcome.counts).map(([what, count]) => `${count} ${what}`);
  process.stderr.write(`${breaker}: seed ${outcome.seed}, ${outcome.seconds} s, ${counts.join(', ')}\n`);
  for (const text of outcome.wrong) process.stderr.write(`  ${text}\n`);
  if (outcome.wrong.length > 0) process.exitCode = 1;
}
