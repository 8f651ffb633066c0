import { ReelfuseProblem, createClient, type QualityReport } from '../client/client.js';
import { InputError, ServerError, messageOf } from '../errors.js';
import type { Estimate } from '../reports/quality.js';
import type { AddCommand } from './command.js';
import { originOf, readKey } from './remote-server.js';
import { examples, printResult, type OutputOptions } from './terminal.js';

interface Options extends OutputOptions {
  url: string;
  hours: string;
  apiKeyFile?: string;
}

export const addReport: AddCommand = (program) => {
  program
    .command('report')
    .description('print the quality of a running server’s answers by model and experiment arm, judged by positive events')
    .option('--url <url>', 'URL of the server', 'http://127.0.0.1:8080')
    .option('--hours <n>', 'length of the period up to now, hours', '24')
    .option('--api-key-file <file>', 'file with an API key that has the scope admin')
    .option('--json', 'print the figures as one JSON line')
    .addHelpText(
      'after',
      examples(
        ['reelfuse report', 'the last day'],
        ['reelfuse report --hours 168 --url https://reels.example --api-key-file key', 'a week, of a remote server'],
      ),
    )
    .action(async (options: Options) => {
      const quality = await fetchQuality(options);
      printResult(
        options,
        () => table(quality),
        () => quality,
      );
    });
};

async function fetchQuality({ url, hours, apiKeyFile }: Options): Promise<QualityReport> {
  if (!/^\d+(\.\d+)?$/.test(hours)) throw new InputError(`--hours must be a number, got ${JSON.stringify(hours)}`);
  const client = createClient({ baseUrl: originOf(url), ...(apiKeyFile !== undefined && { apiKey: readKey(apiKeyFile) }) });
  try {
    return await client.reportQuality({ hours: Number(hours) });
  } catch (error) {
    if (error instanceof ReelfuseProblem) throw new ServerError(`${url} answered ${error.message}`, { cause: error });
    throw new ServerError(messageOf(error), { cause: error });
  }
}

const cell = ({ value, low, high }: Estimate): string => `${value.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}]`;

function table({ since, groups, unattributed, truncated }: QualityReport): string {
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
  const limit = truncated ? '; there were more events than one report goes through, the oldest are left out' : '';
  const rest = `${unattributed} positive events name no answer that is known${limit}`;
  return `since ${since}\n${lines.join('\n')}\n${rest}\n`;
}
