import { closeSync, fstatSync, mkdirSync, openSync, readSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';

export interface ServedItem {
  item_id: string;
  score: number;
  reason: string;
  propensity?: number;
  moved_by?: string[];
}

/** One answer as it was given. It names no user: who got it, only the events that name its id can tell. */
export interface ServedEntry {
  at: number;
  fingerprint: string;
  version: string;
  k: number;
  items: ServedItem[];
  fallback: string | null;
  short_reason: string | null;
  experiment: { name: string; arm: string } | null;
  seed: number | null;
  /** Wishes of the request that shaped the answer. */
  request: Record<string, unknown>;
}

/**
 * What was served, for replay and for judging it by later events. Files of one hour each, appended to in the background;
 * an id says where its entry stands. An answer is not held up by it: a crash may lose the entries of its last moment.
 */
export interface ServedLog {
  /** @returns the recommendation id */
  append(entry: ServedEntry): string;
  /** Null: unknown, expired, or lost in a crash. */
  read(id: string): Promise<ServedEntry | null>;
  /** Drops the files of hours that ended before. */
  expire(before: number): void;
  close(): Promise<void>;
}

const PREFIX = 'rec_';
const HOUR_MS = 3_600_000;
const NONCE_BYTES = 6;
/** hour, offset, nonce */
const ID_BYTES = 4 + 6 + NONCE_BYTES;
const FLUSH_MS = 50;
const FLUSH_BYTES = 256 * 1024;
const READ_BYTES = 16 * 1024;
const MAX_ENTRY_BYTES = 1024 * 1024;
const NEWLINE = 10;

interface Segment {
  hour: number;
  descriptor: number;
  /** Bytes, those that wait included. */
  end: number;
  waiting: string[];
  waitingBytes: number;
}

export function openServedLog(folder: string, onError: (error: unknown) => void): ServedLog {
  mkdirSync(folder, { recursive: true });
  const pathOf = (hour: number): string => join(folder, `${hour}.ndjson`);
  let segment: Segment | null = null;
  let timer: NodeJS.Timeout | null = null;
  const nonces = Buffer.alloc(NONCE_BYTES * 512);
  let nextNonce = nonces.length;

  const takeNonce = (): Buffer => {
    if (nextNonce === nonces.length) {
      randomFillSync(nonces);
      nextNonce = 0;
    }
    nextNonce += NONCE_BYTES;
    return nonces.subarray(nextNonce - NONCE_BYTES, nextNonce);
  };
  const openSegment = (hour: number): Segment => {
    const descriptor = openSync(pathOf(hour), 'a+');
    let end = fstatSync(descriptor).size;
    const last = Buffer.alloc(1);
    if (end > 0 && readSync(descriptor, last, 0, 1, end - 1) === 1 && last[0] !== NEWLINE) end += writeSync(descriptor, '\n'); // torn by a crash
    return { hour, descriptor, end, waiting: [], waitingBytes: 0 };
  };
  const flush = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (segment === null || segment.waitingBytes === 0) return;
    const bytes = Buffer.from(segment.waiting.join(''));
    segment.waiting = [];
    segment.waitingBytes = 0;
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(segment.descriptor, bytes, at); // into the page cache
    } catch (error) {
      onError(error);
      closeSegment(); // where the file ends is looked up anew
    }
  };
  const closeSegment = (): void => {
    if (segment !== null) closeSync(segment.descriptor);
    segment = null;
  };
  const segmentOf = (hour: number): Segment => {
    if (segment?.hour !== hour) {
      flush();
      closeSegment();
      segment = openSegment(hour);
    }
    return segment;
  };

  return {
    append: (entry) => {
      const nonce = takeNonce();
      const id = Buffer.alloc(ID_BYTES);
      const hour = Math.floor(entry.at / HOUR_MS);
      id.writeUInt32BE(hour, 0);
      nonce.copy(id, 10);
      try {
        const current = segmentOf(hour);
        id.writeUIntBE(current.end, 4, 6);
        const line = `{"nonce":"${nonce.toString('hex')}",${JSON.stringify(entry).slice(1)}\n`;
        const length = Buffer.byteLength(line);
        current.waiting.push(line);
        current.waitingBytes += length;
        current.end += length;
        if (current.waitingBytes >= FLUSH_BYTES) flush();
        else timer ??= setTimeout(flush, FLUSH_MS);
      } catch (error) {
        onError(error); // the answer is given all the same
      }
      return PREFIX + id.toString('base64url');
    },
    read: async (id) => {
      const bytes = Buffer.from(id.slice(PREFIX.length), 'base64url');
      if (!id.startsWith(PREFIX) || bytes.length !== ID_BYTES) return null;
      flush();
      let file: FileHandle;
      try {
        file = await open(pathOf(bytes.readUInt32BE(0)), 'r');
      } catch {
        return null; // expired, or never written
      }
      try {
        return await readEntry(file, bytes.readUIntBE(4, 6), bytes.subarray(10).toString('hex'));
      } finally {
        await file.close();
      }
    },
    expire: (before) => {
      for (const name of readdirSync(folder)) {
        const hour = Number(name.replace('.ndjson', ''));
        if (Number.isInteger(hour) && (hour + 1) * HOUR_MS <= before) rmSync(join(folder, name), { force: true });
      }
    },
    close: async () => {
      flush();
      closeSegment();
    },
  };
}

async function readEntry(file: FileHandle, offset: number, nonce: string): Promise<ServedEntry | null> {
  let text = Buffer.alloc(0);
  while (text.length < MAX_ENTRY_BYTES && !text.includes(NEWLINE)) {
    const piece = Buffer.alloc(READ_BYTES);
    const { bytesRead } = await file.read(piece, 0, READ_BYTES, offset + text.length);
    if (bytesRead === 0) return null;
    text = Buffer.concat([text, piece.subarray(0, bytesRead)]);
  }
  try {
    const { nonce: own, ...entry } = JSON.parse(text.subarray(0, text.indexOf(NEWLINE)).toString('utf8')) as ServedEntry & { nonce: string };
    return own === nonce ? entry : null;
  } catch {
    return null; // the id points into the middle of something
  }
}
