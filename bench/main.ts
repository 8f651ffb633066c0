import { churn } from './churn.js';
import { openConsole } from './console.js';
import { cluster } from './cluster.js';
import { compare } from './compare.js';
import { crash } from './crash.js';
import { diversity } from './diversity.js';
import { features } from './features.js';
import { freshness } from './freshness.js';
import { ingest } from './ingest.js';
import { operations } from './operations.js';
import { overload } from './overload.js';
import { restart } from './restart.js';
import { scale } from './scale.js';
import { selectivity } from './selectivity.js';
import { serving } from './serving.js';
import { swap } from './swap.js';

/** Each returns its figures; options are numbers, or text where a bench asks for it. */
const BENCHES: Record<string, (options: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>) => Promise<unknown>> = {
  churn,
  cluster,
  compare,
  console: openConsole,
  crash,
  diversity,
  features,
  freshness,
  ingest,
  operations,
  overload,
  restart,
  scale,
  selectivity,
  serving,
  swap,
};

const [name = '', ...rest] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(BENCHES).join(' | ')} [--option value]…\n`);
  process.exit(2);
}
const text = new Map<string, string>();
for (let at = 0; at < rest.length; at++) {
  const value = rest[at + 1];
  const isFlag = value === undefined || value.startsWith('--');
  text.set(String(rest[at]).replace(/^--/, ''), isFlag ? '1' : value);
  if (!isFlag) at++;
}
const numbers = new Map([...text].map(([key, value]): [string, number] => [key, Number(value)]).filter(([, value]) => !Number.isNaN(value)));
process.stdout.write(`${JSON.stringify(await bench(numbers, text), null, 2)}\n`);
