import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { InputError, messageOf } from '../errors.js';

/** A file of rejected rows, one JSON line each. */
export interface RejectsFile {
  /** Appends a row, unless the same line is there: an import that was killed reads its last rows again. */
  append(row: object): void;
  /** Writes appended rows to the disk. */
  sync(): void;
  close(): void;
}

/** Opens the file, before the work begins. A last line that a kill has cut is removed. @throws InputError when it cannot be written */
export function openRejects(file: string): RejectsFile {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'a+');
  } catch (error) {
    throw new InputError(`--rejects ${file} cannot be written: ${messageOf(error)}`, { cause: error });
  }
  const isFile = fstatSync(descriptor).isFile();
  const kept = isFile ? keptLines(descriptor) : new Set<string>();
  let isSynced = true;
  return {
    append: (row) => {
      const line = JSON.stringify(row);
      if (kept.has(line)) return;
      const bytes = Buffer.from(`${line}\n`);
      for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
      isSynced = false;
    },
    sync: () => {
      if (isFile && !isSynced) fsyncSync(descriptor); // others, as /dev/stderr, have no disk
      isSynced = true;
    },
    close: () => closeSync(descriptor),
  };
}

function keptLines(descriptor: number): Set<string> {
  const bytes = readFileSync(descriptor);
  const whole = bytes.subarray(0, bytes.lastIndexOf('\n') + 1);
  if (whole.length < bytes.length) ftruncateSync(descriptor, whole.length);
  return new Set(whole.toString('utf8').split('\n'));
}
