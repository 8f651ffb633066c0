import { resolve } from 'node:path';
import { SingleBar } from 'cli-progress';
import { pino } from 'pino';
import { importHistory } from '../ingest/import-history.js';
import { importItems, openFeatures } from '../ingest/import-items.js';
import type { ImportProgress, ImportReport } from '../ingest/import-rows.js';
import { expectedBy } from '../ingest/item-input.js';
import { chooseModel } from '../generations/model-choice.js';
import { readConfig } from '../config.js';
import { InputError } from '../errors.js';
import { createMetrics } from '../metrics.js';
import { readArtifact } from '../model/artifact.js';
import { createStorageHealth } from '../store/storage-health.js';
import { explained } from '../composition/embedded.js';
import { openStoresOf } from '../composition/stores-of.js';
import { positiveRule } from '../composition/settings.js';
import { EXIT } from './exit-codes.js';
import { openRejects } from './rejects-file.js';
import { printResult, type OutputOptions } from './terminal.js';

export interface ImportOptions extends OutputOptions {
  items?: string;
  features?: string;
  history?: string;
  rejects?: string;
  restart?: boolean;
}

const SHOWN_REJECTS = 10;
const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

interface ImportedFile extends ImportReport {
  file: string;
}

/** @returns the exit code */
export async function runImport(options: ImportOptions): Promise<number> {
  const { items, features, history, rejects } = options;
  if (items === undefined && history === undefined) throw new InputError('name --items, --history or both');
  if (features !== undefined && items === undefined) throw new InputError('--features belongs to --items');
  for (const read of [items, features, history])
    if (rejects !== undefined && read !== undefined && resolve(read) === resolve(rejects))
      throw new InputError(`--rejects ${rejects} is a file that is read: rejected rows would be written into it`);
  const config = readConfig();
  const unbounded = { ...config, maxEventQueue: Infinity }; // an import waits for its own writes
  const metrics = createMetrics();
  const log = pino({ level: 'warn' }, process.stderr);
  const stores = await openStoresOf(unbounded, metrics, createStorageHealth(metrics, log, Date.now), log);
  const stop = firstSignal();
  const kept = rejects === undefined ? null : openRejects(rejects); // appended to, because a resumed import does not read the earlier rejected rows again
  const imported: ImportedFile[] = [];
  try {
    const model = config.modelDir === '' ? null : await chooseModel(config.modelDir, stores);
    const expected = model === null ? null : expectedBy(await readArtifact(model.folder));
    const run = async (file: string, start: (progress: ImportProgress) => Promise<ImportReport>): Promise<void> => {
      if (stop.signal() !== null) return;
      const progress: ImportProgress = {
        fromStart: options.restart === true,
        isStopped: () => stop.signal() !== null,
        onRejected: (rejected) => kept?.append({ file, ...rejected }),
        onWindow: () => kept?.sync(),
      };
      const isShown = options.quiet !== true && options.json !== true;
      imported.push({ file, ...(isShown ? await underBar(file, progress, start) : await start(progress)) });
    };
    if (items !== undefined) {
      const opened = features === undefined ? null : openFeatures(features, expected);
      try {
        await run(items, (progress) => importItems(items, opened, expected ?? opened?.shape ?? null, stores, progress));
      } finally {
        opened?.close();
      }
    }
    if (history !== undefined) await run(history, (progress) => importHistory(history, positiveRule(config), stores, progress));
    await model?.remember();
  } catch (error) {
    throw explained(error, config);
  } finally {
    stop.release();
    kept?.close();
    await stores.close();
  }
  const signal = stop.signal();
  printResult(
    options,
    () => imported.map(summary).join('') + (signal === null ? '' : `stopped by ${signal}: the same command continues from here\n`),
    () => ({ files: imported.map(presented), stopped_by: signal }),
  );
  if (signal !== null) return SIGNALS[signal];
  return imported.some(({ rejectedRows }) => rejectedRows > 0) ? EXIT.partly : EXIT.done;
}

/** The first signal stops the import between two windows of rows; a second one ends the process at once. */
function firstSignal(): { signal: () => keyof typeof SIGNALS | null; release: () => void } {
  let received: keyof typeof SIGNALS | null = null;
  const handlers = (['SIGINT', 'SIGTERM'] as const).map((name) => {
    const handler = (): void => {
      received ??= name;
      release();
    };
    process.once(name, handler);
    return [name, handler] as const;
  });
  const release = (): void => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
  return { signal: () => received, release };
}

/** Runs an import with a progress bar on standard error, if that is a terminal. */
async function underBar(file: string, progress: ImportProgress, start: (progress: ImportProgress) => Promise<ImportReport>): Promise<ImportReport> {
  const bar = new SingleBar({ format: `${file} {bar} {percentage}% | {eta_formatted} left`, hideCursor: true, noTTYOutput: false });
  bar.start(1, 0);
  try {
    return await start({
      ...progress,
      onProgress: (bytes, total) => {
        bar.setTotal(total);
        bar.update(bytes);
      },
    });
  } finally {
    bar.stop();
  }
}

function summary({ file, imported, resumedAfter, rejected, rejectedRows, isComplete, note }: ImportedFile): string {
  const resumed = resumedAfter > 0 ? `, after ${resumedAfter} rows of an earlier import` : '';
  const whole = isComplete && imported === 0 && resumedAfter > 0 ? ' (--restart imports them again)' : '';
  const lines = [`${file}: ${imported} rows imported${resumed}${whole}, ${rejectedRows} rejected`, ...(note === undefined ? [] : [`  ${note}`])];
  for (const { row, errors } of rejected.slice(0, SHOWN_REJECTS))
    lines.push(`  row ${row}: ${errors.map(({ pointer, detail }) => `${pointer} ${detail}`.trim()).join('; ')}`);
  const more = rejectedRows - Math.min(rejected.length, SHOWN_REJECTS);
  const before = resumedAfter > 0 ? ', those of the earlier import included' : '';
  if (more > 0) lines.push(`  … and ${more} more${before}; --rejects FILE keeps them all`);
  return `${lines.join('\n')}\n`;
}

const presented = ({ file, imported, resumedAfter, rejected, rejectedRows, isComplete, note }: ImportedFile) => ({
  file,
  imported,
  resumed_after: resumedAfter,
  rejected: rejectedRows,
  first_rejected: rejected.slice(0, SHOWN_REJECTS),
  complete: isComplete,
  ...(note !== undefined && { note }),
});
