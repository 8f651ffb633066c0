import { closeSync, fstatSync, mkdirSync, openSync, readSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';

import type { ServedEntry, ServedItem, ServedLog } from '../served-log.js';

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

/** Items as columns: less than half of the text, and of the time to write it. */
interface Folded extends Omit<ServedEntry, 'items'> {
  ids: string[];
  scores: number[];
  /** One for all where they do not differ. */
  reasons: string | string[];
  /** What only few items have, by place. */
  more?: Record<number, Pick<ServedItem, 'propensity' | 'moved_by'>>;
}

function fold(entry: ServedEntry): Folded {
  // field by field: an object made by a spread is several times slower to write as JSON
  const { items, at, fingerprint, version, k, fallback, short_reason, experiment, seed, offset, sequence, request } = entry;
  const folded: Folded = {
    at,
    fingerprint,
    version,
    k,
    fallback,
    short_reason,
    experiment,
    seed,
    offset,
    sequence,
    request,
    ids: [],
    scores: [],
    reasons: items[0]?.reason ?? '',
  };
  for (const { item_id: itemId, score, reason, propensity, moved_by: movedBy } of items) {
    if (propensity !== undefined || movedBy !== undefined) {
      folded.more ??= {};
      folded.more[folded.ids.length] = { ...(propensity !== undefined && { propensity }), ...(movedBy !== undefined && { moved_by: movedBy }) };
    }
    folded.ids.push(itemId);
    folded.scores.push(score);
    if (typeof folded.reasons === 'string' && reason !== folded.reasons) folded.reasons = items.map((item) => item.reason);
  }
  return folded;
}

function unfold({ ids, scores, reasons, more = {}, ...rest }: Folded): ServedEntry {
  const items = ids.map((itemId, position): ServedItem => ({
    item_id: itemId,
    score: scores[position] ?? 0,
    reason: typeof reasons === 'string' ? reasons : (reasons[position] ?? ''),
    ...more[position],
  }));
  return { ...rest, items };
}

/** Files of one hour each, appended to in the background; an id says where its entry stands. */
export function openServedLog(folder: string, onError: (error: unknown) => void): ServedLog {
  mkdirSync(folder, { recursive: true });
  const pathOf = (hour: number): string => join(folder, `${hour}.ndjson`);
  let segment: Segment | null = null;
  let timer: NodeJS.Timeout | null = null;
  // random bytes, and their digits, many at once
  const nonces = Buffer.alloc(NONCE_BYTES * 512);
  let digits = '';
  let nextNonce = nonces.length;
  /** Each one is written here. */
  const id = Buffer.alloc(ID_BYTES);

  /** Fills the id's nonce. @returns its digits */
  const takeNonce = (): string => {
    if (nextNonce === nonces.length) {
      randomFillSync(nonces);
      digits = nonces.toString('hex');
      nextNonce = 0;
    }
    nonces.copy(id, ID_BYTES - NONCE_BYTES, nextNonce, nextNonce + NONCE_BYTES);
    nextNonce += NONCE_BYTES;
    return digits.slice((nextNonce - NONCE_BYTES) * 2, nextNonce * 2);
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

  /** Null when there is no such file: expired, or never written. */
  const within = async <Value>(hour: number, task: (file: FileHandle) => Promise<Value>): Promise<Value | null> => {
    let file: FileHandle;
    try {
      file = await open(pathOf(hour), 'r');
    } catch {
      return null;
    }
    try {
      return await task(file);
    } finally {
      await file.close();
    }
  };
  const read = async (ids: Iterable<string>): Promise<Map<string, ServedEntry>> => {
    flush();
    const byHour = new Map<number, LogPosition[]>();
    for (const id of ids) {
      const position = positionOf(id);
      if (position === null) continue;
      const positions = byHour.get(position.hour);
      if (positions === undefined) byHour.set(position.hour, [position]);
      else positions.push(position);
    }
    const entries = new Map<string, ServedEntry>();
    for (const [hour, positions] of byHour) {
      await within(hour, async (file) => {
        for (const { id, offset, nonce } of positions) {
          const entry = await readEntry(file, offset, nonce);
          if (entry !== null) entries.set(id, entry);
        }
      });
    }
    return entries;
  };

  return {
    append: (entry) => {
      const nonce = takeNonce();
      const hour = Math.floor(entry.at / HOUR_MS);
      id.writeUInt32BE(hour, 0);
      try {
        const current = segmentOf(hour);
        id.writeUInt16BE(Math.floor(current.end / 2 ** 32), 4);
        id.writeUInt32BE(current.end >>> 0, 6);
        const line = `{"nonce":"${nonce}",${JSON.stringify(fold(entry)).slice(1)}\n`;
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
    read,
    first: async (at) => {
      flush();
      const hours = readdirSync(folder)
        .map(hourOf)
        .filter((hour) => hour >= Math.floor(at / HOUR_MS));
      return hours.length === 0 ? null : within(Math.min(...hours), (file) => readEntry(file, 0, null));
    },
    expire: async (before) => {
      for (const name of readdirSync(folder)) {
        if ((hourOf(name) + 1) * HOUR_MS <= before) rmSync(join(folder, name), { force: true });
      }
    },
    close: async () => {
      flush();
      closeSegment();
    },
  };
}

/** What entries of older versions lack. */
const OLDER = { offset: 0, sequence: 0 };

/** NaN for a file that is none of the log's. */
const hourOf = (name: string): number => Number(/^(\d+)\.ndjson$/.exec(name)?.[1] ?? NaN);

interface LogPosition {
  id: string;
  hour: number;
  offset: number;
  nonce: string;
}

/** Where the entry of an id stands; null: it is no id. */
function positionOf(id: string): LogPosition | null {
  const bytes = Buffer.from(id.slice(PREFIX.length), 'base64url');
  if (!id.startsWith(PREFIX) || bytes.length !== ID_BYTES) return null;
  return { id, hour: bytes.readUInt32BE(0), offset: bytes.readUIntBE(4, 6), nonce: bytes.subarray(10).toString('hex') };
}

/** @param nonce what the entry must have been given; null: whatever stands there */
async function readEntry(file: FileHandle, offset: number, nonce: string | null): Promise<ServedEntry | null> {
  let text = Buffer.alloc(0);
  while (text.length < MAX_ENTRY_BYTES && !text.includes(NEWLINE)) {
    const piece = Buffer.alloc(READ_BYTES);
    const { bytesRead } = await file.read(piece, 0, READ_BYTES, offset + text.length);
    if (bytesRead === 0) return null;
    text = Buffer.concat([text, piece.subarray(0, bytesRead)]);
  }
  try {
    const { nonce: own, ...entry } = JSON.parse(text.subarray(0, text.indexOf(NEWLINE)).toString('utf8')) as (ServedEntry | Folded) & {
      nonce: string;
    };
    return nonce === null || own === nonce ? { ...OLDER, ...('ids' in entry ? unfold(entry) : entry) } : null;
  } catch {
    return null; // the id points into the middle of something
  }
}
