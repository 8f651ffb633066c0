import { readFileSync } from 'node:fs';
import { request } from 'undici';
import { InputError, messageOf } from '../errors.js';
import type { Quality, Estimate } from '../recommend/quality.js';
import type { AddCommand } from './program.js';

interface Options {
  url: string;
  hours: string;
  json?: boolean;
  apiKeyFile?: string;
}

export const addReport: AddCommand = (program) => {
  program
    .command('report')
    .description('quality of what a running server has served, judged by the positive events that name it, by model and experiment arm')
    .option('--url <url>', 'the server', 'http://127.0.0.1:8080')
    .option('--hours <n>', 'how far back', '24')
    .option('--json', 'print the figures as JSON')
    .option('--api-key-file <file>', 'file with an API key that has the scope admin')
    .action(async (options: Options) => {
      const quality = await fetchQuality(options);
      process.stdout.write(options.json === true ? `${JSON.stringify(quality)}\n` : table(quality));
    });
};

async function fetchQuality({ url, hours, apiKeyFile }: Options): Promise<Quality> {
  const headers: Record<string, string> = apiKeyFile === undefined ? {} : { authorization: `Bearer ${readFileSync(apiKeyFile, 'utf8').trim()}` };
  const target = new URL(`/v1/reports/quality?hours=${encodeURIComponent(hours)}`, url);
  try {
    const { statusCode, body } = await request(target, { headers });
    const text = await body.text();
    if (statusCode !== 200) throw new InputError(`${url} answered ${statusCode}: ${text}`);
    return JSON.parse(text) as Quality; // by this program's own schema
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${url} cannot be asked: ${messageOf(error)}`, { cause: error });
  }
}

const cell = ({ value, low, high }: Estimate): string => `${value.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}]`;

function table({ since, groups, unattributed, truncated }: Quality): string {
  const rows = groups.map(({ model, experiment, arm, fallback, surface, events, ...figures }) => [
    `${model.version} ${model.fingerprint.slice(0, 8)}`,
    experiment === null ? '-' : `${experiment}/${arm ?? ''}`,
    fallback ? 'fallback' : 'model',
    surface,
    String(events),
    ...[figures.hr_at_10, figures.hr_at_20, figures.ndcg_at_10].map(cell),
  ]);
  const titles = ['model', 'experiment', 'answered by', 'surface', 'positives', 'HR@10 [95 %]', 'HR@20 [95 %]', 'NDCG@10 [95 %]'];
  const all = [titles, ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = all.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const rest = `${unattributed} positive events name no answer that is known${truncated ? '; there were more events than one report goes through, the oldest are left out' : ''}`;
  return `since ${String(since)}\n${lines.join('\n')}\n${rest}\n`;
}
