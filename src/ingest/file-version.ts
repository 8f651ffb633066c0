import { statSync, type Stats } from 'node:fs';
import { resolve } from 'node:path';
import { InputError, messageOf } from '../errors.js';

/** @throws InputError when the file cannot be read */
export function statOf(file: string): Stats {
  try {
    return statSync(file);
  } catch (error) {
    throw new InputError(`${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** A text that changes when the file changes: path, size and modification time. @throws InputError when the file cannot be read */
export function fileVersion(file: string): string {
  const { size, mtimeMs } = statOf(file);
  return `${resolve(file)}:${size}:${mtimeMs}`;
}
