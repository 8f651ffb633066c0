import { backUp, restoreBackup, type BackupManifest } from '../catalog/backup.js';
import { readConfig } from '../config.js';
import type { AddCommand } from './program.js';

const MIB = 1024 * 1024;

const print = (done: string, { created_at, model, files }: BackupManifest, json: boolean | undefined, next: string): void => {
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  const summary = { created_at, model, files: Object.keys(files).length, bytes };
  process.stdout.write(json === true ? `${JSON.stringify(summary)}\n` : `${done}: ${summary.files} files, ${(bytes / MIB).toFixed(1)} MiB\n${next}`);
};

export const addBackup: AddCommand = (program) => {
  program
    .command('backup')
    .description('copy everything of REELFUSE_DATA_DIR, model included, to a new folder; the server may go on serving')
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
