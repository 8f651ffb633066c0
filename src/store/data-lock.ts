import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError, messageOf } from '../errors.js';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/**
 * One process owns a data folder: a second one would not see its writes. The lock of a killed process is taken over.
 * @returns a function that gives the folder back
 * @throws InputError naming the process that holds it, or why the folder cannot be used
 */
export function lockDataDir(dataDir: string): () => void {
  try {
    mkdirSync(dataDir, { recursive: true });
  } catch (error) {
    throw new InputError(`${dataDir} cannot be used as REELFUSE_DATA_DIR: ${messageOf(error)}`, { cause: error });
  }
  const file = join(dataDir, 'reelfuse.lock');
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(readFileSync(file, 'utf8'));
    if (holder !== process.pid && Number.isInteger(holder) && holder > 0 && isAlive(holder)) {
      throw new InputError(`${dataDir} is in use by process ${holder}; stop it first, or choose another REELFUSE_DATA_DIR`);
    }
    rmSync(file, { force: true });
  }
}
