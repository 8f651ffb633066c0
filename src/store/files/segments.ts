import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export const HOUR_MS = 3_600_000;

const FLUSH_MS = 50;
const FLUSH_BYTES = 256 * 1024;
const NEWLINE = 10;

const pathOf = (folder: string, hour: number): string => join(folder, `${hour}.ndjson`);
/** NaN for a file that is none of the log's. */
const hourOf = (name: string): number => Number(/^(\d+)\.ndjson$/.exec(name)?.[1] ?? NaN);

/** The hours that have a segment, oldest first. */
export const hoursIn = async (folder: string): Promise<number[]> =>
  (await readdir(folder))
    .map(hourOf)
    .filter((hour) => !Number.isNaN(hour))
    .sort((a, b) => a - b);

export const removeSegment = (folder: string, hour: number): Promise<void> => rm(pathOf(folder, hour), { force: true });

/** Null when the hour has no segment: expired, or never written. */
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
  /** Bytes, those that wait included. */
  end: number;
  waiting: string[];
  waitingBytes: number;
}

export interface SegmentWriter {
  /** Where the next line of this hour will stand. @throws when its segment cannot be opened */
  endOf(hour: number): number;
  /** Adds a line to the segment that `endOf` was last asked for. */
  append(line: string): void;
  /** Writes what waits into the page cache, where readers find it. */
  flush(): void;
  close(): void;
}

/** Appends lines to one file an hour; they are written in the background, many at once. */
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
      closeSegment(); // where the file ends is looked up anew
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
