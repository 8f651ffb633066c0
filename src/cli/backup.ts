import type { BackupManifest } from '../maintenance/backup.js';
import { readConfig, type Config } from '../config.js';
import { ConfigError } from '../errors.js';
import type { AddCommand } from './command.js';
import { examples, printResult, type OutputOptions } from './terminal.js';

const MIB = 1024 * 1024;

function print(done: string, manifest: BackupManifest, options: OutputOptions, next: string): void {
  const { created_at, model, models, left_out, files } = manifest;
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  const summary = { created_at, model, models: models.length, left_out, files: Object.keys(files).length, bytes };
  const leftOut = left_out.map(({ fingerprint, reason }) => `left out: model ${fingerprint}: ${reason}\n`).join('');
  const text = `${done}: ${summary.files} files, ${summary.models} models, ${(bytes / MIB).toFixed(1)} MiB\n${leftOut}${next}`;
  printResult(
    options,
    () => text,
    () => summary,
  );
}

/** @throws ConfigError when the data are in a database */
function ofFolder(config: Config): Config {
  if (config.databaseUrl !== '')
    throw new ConfigError("REELFUSE_DATABASE_URL is set: back the database up by PostgreSQL's own tools, see docs/cluster.md");
  return config;
}

export const addBackup: AddCommand = (program) => {
  program
    .command('backup')
    .description('copy REELFUSE_DATA_DIR with its models to a new folder; the server can keep serving')
    .requiredOption('--to <folder>', 'target folder, absent, empty, or left unfinished by a killed backup')
    .option('--json', 'print one JSON line')
    .option('--quiet', 'print errors only')
    .addHelpText(
      'after',
      examples(
        ['reelfuse backup --to /backups/monday', 'consistent, also while the server writes'],
        ['reelfuse backup --quiet --to "/backups/$(date +%F)"', 'from cron'],
      ),
    )
    .action(async ({ to, ...options }: OutputOptions & { to: string }) => {
      const { dataDir } = ofFolder(readConfig());
      const { backUpEmbedded } = await import('../composition/embedded-backup.js');
      print(
        `backed up to ${to}`,
        await backUpEmbedded(dataDir, to),
        options,
        `reelfuse restore --from ${to}   verifies it and makes a data folder of it\n`,
      );
    });
};

export const addRestore: AddCommand = (program) => {
  program
    .command('restore')
    .description('verify a backup and restore it to REELFUSE_DATA_DIR, which must be absent, empty, or left unfinished by a killed restore')
    .requiredOption('--from <folder>', 'folder written by reelfuse backup')
    .option('--json', 'print one JSON line')
    .option('--quiet', 'print errors only')
    .addHelpText('after', examples(['REELFUSE_DATA_DIR=/srv/reels reelfuse restore --from /backups/monday', 'checks every digest first']))
    .action(async ({ from, ...options }: OutputOptions & { from: string }) => {
      const { dataDir } = ofFolder(readConfig());
      const { restoreEmbedded } = await import('../composition/embedded-backup.js');
      print(`restored to ${dataDir}`, await restoreEmbedded(from, dataDir), options, `start it with REELFUSE_DATA_DIR=${dataDir} reelfuse serve\n`);
    });
};
