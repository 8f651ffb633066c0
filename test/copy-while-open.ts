import { cpSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { LOCK_FILES } from '../src/store/data-lock.js';

/** Copies of a folder that fail because a file went meanwhile are made anew up to this number. */
const MAX_COPIES = 20;

/** The data folder as `kill -9` leaves it: copied while everything is open, without what an orderly end writes. */
export function copyWhileOpen(dataDir: string, copy: string): void {
  for (let made = 1; ; made++) {
    try {
      cpSync(dataDir, copy, { recursive: true, filter: (path) => !LOCK_FILES.includes(basename(path)) });
      return;
    } catch (error) {
      // a snapshot that is written meanwhile was renamed or removed between the listing and the copy
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || made === MAX_COPIES) throw error;
      rmSync(copy, { recursive: true, force: true });
    }
  }
}
