import { randomUUID } from 'node:crypto';
import type { ServedEntry, ServedLog } from '../../../src/store/served-log.js';

const HOUR_MS = 3_600_000;
const hourOf = ({ at }: Pick<ServedEntry, 'at'>): number => Math.floor(at / HOUR_MS);

/** @param entries outlive the log that is opened over them */
export function openMemoryServedLog(entries = new Map<string, ServedEntry>()): ServedLog {
  return {
    append: (entry) => {
      const id = `rec_${randomUUID()}`;
      entries.set(id, structuredClone(entry));
      return id;
    },
    read: async (ids) => {
      const wanted = new Set(ids);
      return structuredClone(new Map([...entries].filter(([id]) => wanted.has(id))));
    },
    first: async (at) => {
      const hours = [...entries.values()].filter((entry) => hourOf(entry) >= hourOf({ at })).sort((a, b) => hourOf(a) - hourOf(b));
      return structuredClone(hours[0] ?? null); // a stable sort: the first of its hour
    },
    expire: async (before) => {
      for (const [id, entry] of [...entries]) if ((hourOf(entry) + 1) * HOUR_MS <= before) entries.delete(id);
    },
    close: async () => undefined,
  };
}
