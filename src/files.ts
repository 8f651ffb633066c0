import { createHash } from 'node:crypto';
import { closeSync, fstatSync, mkdirSync, fsyncSync, openSync, readSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { InputError, messageOf } from './errors.js';

/** Bytes that are read, written and synced at once: a commit of the store must not wait for a long flush. */
export const PIECE_BYTES = 4 * 1024 * 1024;

export interface FileDigest {
  /** Hexadecimal. */
  sha256: string;
  bytes: number;
}

/** Writes a file or a folder to the disk; for a folder that is its list of names. */
export function syncToDisk(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Reads a whole file in pieces.
 * @param take gets memory that the next piece overwrites, and the position of the piece in the file
 * @returns the length of the file in bytes
 */
export function readPieces(path: string, take: (piece: Uint8Array, position: number) => void): number {
  const descriptor = openSync(path, 'r');
  try {
    const buffer = new Uint8Array(PIECE_BYTES);
    for (let position = 0; ;) {
      const count = readSync(descriptor, buffer, 0, PIECE_BYTES, position);
      if (count === 0) return position;
      take(buffer.subarray(0, count), position);
      position += count;
    }
  } finally {
    closeSync(descriptor);
  }
}

/** A file that is read by ranges, so that one larger than memory can be used. */
export interface RangedFile {
  /** Bytes. */
  size: number;
  /** @throws InputError naming the file when it ends before the range does */
  read(position: number, length: number): Buffer;
  close(): void;
}

/** @throws InputError naming the file when it cannot be opened */
export function openRanges(path: string): RangedFile {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    throw new InputError(`${path}: cannot be opened: ${messageOf(error)}`, { cause: error });
  }
  return {
    size: fstatSync(descriptor).size,
    read: (position, length) => {
      const buffer = Buffer.alloc(length);
      for (let done = 0; done < length;) {
        const count = readSync(descriptor, buffer, done, length - done, position + done);
        if (count === 0) throw new InputError(`${path}: ends early`);
        done += count;
      }
      return buffer;
    },
    close: () => closeSync(descriptor),
  };
}

export function digestOf(path: string): FileDigest {
  const hash = createHash('sha256');
  const bytes = readPieces(path, (piece) => void hash.update(piece));
  return { sha256: hash.digest('hex'), bytes };
}

export interface WholeFile {
  /** Replaces the file. Before that it is as it was. */
  write(text: string): void;
  /** Leaves the file as it was. */
  discard(): void;
}

/**
 * Opens a file that is written at once and as a whole: after a kill or a power cut it holds the old text or the new one. What is no
 * regular file, as /dev/stdout, is written as it is.
 * @throws when the file or its folder cannot be written
 */
export function openWhole(file: string): WholeFile {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found !== undefined && !found.isFile()) {
    const descriptor = openSync(file, 'a');
    return {
      write: (text) => {
        writeFileSync(descriptor, text);
        closeSync(descriptor);
      },
      discard: () => closeSync(descriptor),
    };
  }
  const target = found === undefined ? file : realpathSync(file);
  const partial = `${target}.partial`;
  const descriptor = openSync(partial, 'w', found?.mode);
  return {
    write: (text) => {
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
      closeSync(descriptor);
      renameSync(partial, target);
      syncToDisk(dirname(target));
    },
    discard: () => {
      closeSync(descriptor);
      rmSync(partial, { force: true });
    },
  };
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/**
 * Makes a folder and those above it. `mkdirSync` with `recursive` never returns where the system makes no folders and calls that
 * ENOENT, as below /proc.
 * @returns the outermost folder that was made; undefined: it was there
 */
export function makeFolder(path: string): string | undefined {
  if (isFolder(path)) return undefined;
  const above = dirname(path);
  const outermost = above === path ? undefined : makeFolder(above);
  try {
    mkdirSync(path);
  } catch (error) {
    if (!isFolder(path)) throw error; // else somebody was faster
  }
  return outermost ?? path;
}
