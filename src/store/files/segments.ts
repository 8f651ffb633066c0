import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export const HOUR_MS = 3_600_000;

const FLUSH_MS = 50;
const FLUSH_BYTES = 256 * 1024;
const NEWLINE = 10;

const pathOf = (folder: string, hour: number): string => join(folder, `${hour}.ndjson`);
/** Hours since 1970; NaN when the file is not a segment. */
const hourOf = (name: string): number => Number(/^(\d+)\.ndjson$/.exec(name)?.[1] ?? NaN);

/** Hours with a segment, oldest first. */
export const hoursIn = async (folder: string): Promise<number[]> =>
  (await readdir(folder))
    .map(hourOf)
    .filter((hour) => !Number.isNaN(hour))
    .sort((a, b) => a - b);

export const removeSegment = (folder: string, hour: number): Promise<void> => rm(pathOf(folder, hour), { force: true });

/** Runs a task on the segment of an hour. @returns null when there is no such segment: it has expired, or was never written */
export async function withSegment<Value>(folder: string, hour: number, task: (file: FileHandle) => Promise<Value>): Promise<Value | null> {
  let file: FileHandle;
  try {
    file = await open(pathOf(folder, hour), 'r');
  } catch {
    return null;
  }
  try {
    return await task(file);
  } finally {
    await file.close();
  }
}

interface Segment {
  hour: number;
  descriptor: number;
  /** Length in bytes, including waiting lines. */
  end: number;
  waiting: string[];
  waitingBytes: number;
}

export interface SegmentWriter {
  /** Offset of the next line in the segment of this hour, in bytes. @throws when the segment cannot be opened */
  endOf(hour: number): number;
  /** Adds a line to the segment of the last call of `endOf`. */
  append(line: string): void;
  /** Writes waiting lines to the page cache, where readers find them. */
  flush(): void;
  close(): void;
}

/** Appends lines to one file for each hour. Lines are written in the background, many at once. */
export function createSegmentWriter(folder: string, onError: (error: unknown) => void): SegmentWriter {
  let segment: Segment | null = null;
  let timer: NodeJS.Timeout | null = null;

  const closeSegment = (): void => {
    if (segment !== null) closeSync(segment.descriptor);
    segment = null;
  };
  const flush = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (segment === null || segment.waitingBytes === 0) return;
    const bytes = Buffer.from(segment.waiting.join(''));
    segment.waiting = [];
    segment.waitingBytes = 0;
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(segment.descriptor, bytes, at);
    } catch (error) {
      onError(error);
      closeSegment(); // the next `endOf` looks up the length of the file
    }
  };

  return {
    endOf: (hour) => {
      if (segment?.hour !== hour) {
        flush();
        closeSegment();
        segment = openSegment(folder, hour);
      }
      return segment.end;
    },
    append: (line) => {
      if (segment === null) return; // its last flush has failed
      const length = Buffer.byteLength(line);
      segment.waiting.push(line);
      segment.waitingBytes += length;
      segment.end += length;
      if (segment.waitingBytes >= FLUSH_BYTES) flush();
      else timer ??= setTimeout(flush, FLUSH_MS);
    },
    flush,
    close: () => {
      flush();
      closeSegment();
    },
  };
}

function openSegment(folder: string, hour: number): Segment {
  const descriptor = openSync(pathOf(folder, hour), 'a+');
  let end = fstatSync(descriptor).size;
  const last = Buffer.alloc(1);
  if (end > 0 && readSync(descriptor, last, 0, 1, end - 1) === 1 && last[0] !== NEWLINE) end += writeSync(descriptor, '\n'); // torn by a crash
  return { hour, descriptor, end, waiting: [], waitingBytes: 0 };
}
