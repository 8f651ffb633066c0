import { backUp, restoreBackup, type BackupManifest } from '../catalog/backup.js';
import { readConfig } from '../config.js';
import type { AddCommand } from './program.js';

const MIB = 1024 * 1024;

const print = (done: string, manifest: BackupManifest, json: boolean | undefined, next: string): void => {
  const { created_at, model, models, left_out, files } = manifest;
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  const summary = { created_at, model, models: models.length, left_out, files: Object.keys(files).length, bytes };
  const leftOut = left_out.map(({ fingerprint, reason }) => `left out: model ${fingerprint}: ${reason}\n`).join('');
  const text = `${done}: ${summary.files} files, ${summary.models} models, ${(bytes / MIB).toFixed(1)} MiB\n${leftOut}${next}`;
  process.stdout.write(json === true ? `${JSON.stringify(summary)}\n` : text);
};

export const addBackup: AddCommand = (program) => {
  program
    .command('backup')
    .description('copy everything of REELFUSE_DATA_DIR, models included, to a new folder; the server may go on serving')
    .requiredOption('--to <folder>', 'absent or empty')
    .option('--json', 'print one JSON line')
    .action(async ({ to, json }: { to: string; json?: boolean }) => {
      print(
        `backed up to ${to}`,
        await backUp(readConfig().dataDir, to),
        json,
        `reelfuse restore --from ${to}   verifies it and makes a data folder of it\n`,
      );
    });
};

export const addRestore: AddCommand = (program) => {
  program
    .command('restore')
    .description('verify a backup and make REELFUSE_DATA_DIR of it, which must be absent or empty')
    .requiredOption('--from <folder>', 'written by reelfuse backup')
    .option('--json', 'print one JSON line')
    .action(async ({ from, json }: { from: string; json?: boolean }) => {
      const { dataDir } = readConfig();
      print(`restored to ${dataDir}`, await restoreBackup(from, dataDir), json, `start it with REELFUSE_DATA_DIR=${dataDir} reelfuse serve\n`);
    });
};
