import type { FileHandle } from 'node:fs/promises';
import { makeFolder } from '../../files.js';
import type { ServedEntry, ServedLog } from '../served-log.js';
import { fromLine, toLine } from './entry-line.js';
import { createIds, positionOf, type LogPosition } from './log-position.js';
import { createSegmentWriter, HOUR_MS, hoursIn, removeSegment, withSegment } from './segments.js';

const READ_BYTES = 16 * 1024;
const MAX_ENTRY_BYTES = 1024 * 1024;
const NEWLINE = 10;

/**
 * A log of one file for each hour, appended to in the background. An id holds the position of its entry.
 * @param onError called when entries could not be written; their answers are given without being kept
 */
export function openServedLog(folder: string, onError: (error: unknown) => void): ServedLog {
  makeFolder(folder);
  const segments = createSegmentWriter(folder, onError);
  const ids = createIds();

  return {
    append: (entry) => {
      const nonce = ids.nextNonce();
      const hour = Math.max(0, Math.floor(entry.at / HOUR_MS));
      try {
        const id = ids.idAt(hour, segments.endOf(hour));
        segments.append(toLine(entry, nonce));
        return id;
      } catch (error) {
        onError(error);
        return ids.idAt(hour, 0); // the entry there has another nonce, so the id finds nothing
      }
    },
    read: async (wanted) => {
      segments.flush();
      const entries = new Map<string, ServedEntry>();
      for (const [hour, positions] of byHour(wanted)) {
        await withSegment(folder, hour, async (file) => {
          for (const [id, { offset, nonce }] of positions) {
            const entry = await readEntry(file, offset, nonce);
            if (entry !== null) entries.set(id, entry);
          }
        });
      }
      return entries;
    },
    first: async (at) => {
      segments.flush();
      for (const hour of await hoursIn(folder)) {
        if (hour < Math.floor(at / HOUR_MS)) continue;
        const entry = await withSegment(folder, hour, (file) => readEntry(file, 0, null));
        if (entry !== null) return entry;
      }
      return null;
    },
    expire: async (before) => {
      for (const hour of await hoursIn(folder)) if ((hour + 1) * HOUR_MS <= before) await removeSegment(folder, hour);
    },
    close: async () => segments.close(),
  };
}

/** Groups ids by segment, so that each segment is opened once. Invalid ids are left out. */
function byHour(ids: Iterable<string>): Map<number, [id: string, position: LogPosition][]> {
  const hours = new Map<number, [string, LogPosition][]>();
  for (const id of ids) {
    const position = positionOf(id);
    if (position === null) continue;
    const positions = hours.get(position.hour);
    if (positions === undefined) hours.set(position.hour, [[id, position]]);
    else positions.push([id, position]);
  }
  return hours;
}

/** @param nonce the nonce that the entry must have; null: any. @returns null when there is no such entry */
async function readEntry(file: FileHandle, offset: number, nonce: string | null): Promise<ServedEntry | null> {
  let text = Buffer.alloc(0);
  while (text.length < MAX_ENTRY_BYTES && !text.includes(NEWLINE)) {
    const chunk = Buffer.alloc(READ_BYTES);
    const { bytesRead } = await file.read(chunk, 0, READ_BYTES, offset + text.length);
    if (bytesRead === 0) return null;
    text = Buffer.concat([text, chunk.subarray(0, bytesRead)]);
  }
  return fromLine(text.subarray(0, text.indexOf(NEWLINE)).toString('utf8'), nonce);
}
