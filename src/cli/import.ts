import { positiveRule } from '../catalog/event-input.js';
import { createWriteStream } from 'node:fs';
import { SingleBar } from 'cli-progress';
import { pino } from 'pino';
import { importHistory } from '../catalog/import-history.js';
import { importItems, openFeatures } from '../catalog/import-items.js';
import type { ImportProgress, ImportReport, RejectedRow } from '../catalog/import-rows.js';
import { chooseModel } from '../catalog/model-choice.js';
import { readConfig } from '../config.js';
import { InputError } from '../errors.js';
import { createMetrics } from '../metrics.js';
import { readArtifact } from '../model/artifact.js';
import { openStore } from '../services.js';
import type { AddCommand } from './program.js';

const SHOWN_REJECTS = 10;

interface Options {
  items?: string;
  features?: string;
  history?: string;
  rejects?: string;
}

export const addImport: AddCommand = (program, finish) => {
  program
    .command('import')
    .description('load a catalogue and a history into REELFUSE_DATA_DIR; the server must not be running on it')
    .option(
      '--items <file>',
      'items: .jsonl, .ndjson or .csv (columns item_id,title,author_id,…; others become attributes, NAME:number|boolean|list)',
    )
    .option(
      '--features <path>',
      'hidden states of the items: safetensors, tensor hidden_states [items, layers, hidden size], or the folder of an extraction',
    )
    .option('--history <file>', 'events: .jsonl, .ndjson or .csv, or .tsv lines user<TAB>item item …')
    .option('--rejects <file>', 'write every rejected row with its reasons here, as JSON lines')
    .action(async (options: Options) => finish(await runImport(options)));
};

async function runImport(options: Options): Promise<number> {
  const { items, features, history } = options;
  if (items === undefined && history === undefined) throw new InputError('name --items, --history or both');
  if (features !== undefined && items === undefined) throw new InputError('--features belongs to --items');
  const config = readConfig();
  const unbounded = { ...config, maxEventQueue: Infinity }; // an import waits for its own writes
  const { store, close } = openStore(unbounded, createMetrics(), pino({ level: 'warn' }, process.stderr));
  const rejects = options.rejects === undefined ? null : createWriteStream(options.rejects);
  try {
    const model = config.modelDir === '' ? null : chooseModel(config.modelDir, store);
    const manifest = model === null ? null : (await readArtifact(model.folder)).manifest;
    const expected = manifest === null || manifest.variant === 'id' ? null : { layers: manifest.layers.count, width: manifest.hidden_dim };
    const onReject = (file: string) => (rejected: RejectedRow) => void rejects?.write(`${JSON.stringify({ file, ...rejected })}\n`);
    const reports: ImportReport[] = [];
    if (items !== undefined) {
      const opened = features === undefined ? null : openFeatures(features, expected);
      try {
        reports.push(
          await report(items, onReject(items), (progress) => importItems(items, opened, expected ?? opened?.shape ?? null, store, progress)),
        );
      } finally {
        opened?.close();
      }
    }
    if (history !== undefined) {
      reports.push(await report(history, onReject(history), (progress) => importHistory(history, positiveRule(config), store, progress)));
    }
    await model?.remember();
    return reports.some(({ rejected }) => rejected.length > 0) ? 1 : 0;
  } finally {
    rejects?.end();
    await close();
  }
}

/** Runs one import under a progress bar and prints what came of it. */
async function report(
  file: string,
  onRejected: (rejected: RejectedRow) => void,
  run: (progress: ImportProgress) => Promise<ImportReport>,
): Promise<ImportReport> {
  const bar = new SingleBar({ format: `${file} {bar} {percentage}% | {eta_formatted} left`, hideCursor: true, noTTYOutput: false });
  bar.start(1, 0);
  let done: ImportReport;
  try {
    done = await run({
      onRejected,
      onProgress: (bytes, total) => {
        bar.setTotal(total);
        bar.update(bytes);
      },
    });
  } finally {
    bar.stop();
  }
  const resumed = done.resumedAfter > 0 ? `, ${done.resumedAfter} had been imported before` : '';
  process.stdout.write(`${file}: ${done.imported} rows imported${resumed}, ${done.rejected.length} rejected\n`);
  for (const { row, errors } of done.rejected.slice(0, SHOWN_REJECTS)) {
    process.stdout.write(`  row ${row}: ${errors.map(({ pointer, detail }) => `${pointer} ${detail}`.trim()).join('; ')}\n`);
  }
  if (done.rejected.length > SHOWN_REJECTS)
    process.stdout.write(`  … and ${done.rejected.length - SHOWN_REJECTS} more; --rejects FILE keeps them all\n`);
  return done;
}
