import { churn } from './churn.js';
import { crash } from './crash.js';
import { freshness } from './freshness.js';
import { operations } from './operations.js';
import { restart } from './restart.js';
import { swap } from './swap.js';

/** Each prints a table and returns its figures. */
const BENCHES: Record<string, (options: ReadonlyMap<string, number>) => Promise<unknown>> = {
  churn,
  crash,
  freshness,
  operations,
  restart,
  swap,
};

const [name = '', ...rest] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(BENCHES).join(' | ')} [--option number]…\n`);
  process.exit(2);
}
const options = new Map<string, number>();
for (let at = 0; at < rest.length; at += 2) options.set(String(rest[at]).replace(/^--/, ''), Number(rest[at + 1]));
process.stdout.write(`${JSON.stringify(await bench(options), null, 2)}\n`);
