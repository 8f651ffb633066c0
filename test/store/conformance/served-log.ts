import assert from 'node:assert/strict';
import type { ServedEntry, ServedLog } from '../../../src/store/served-log.js';
import { conformance, type Engine } from './suite.js';

const MEMBERS = { append: true, read: true, first: true, expire: true, close: true } as const;

const HOUR_MS = 3_600_000;
const NOON = 500_000 * HOUR_MS;

export const entryOf = (at: number, change: Partial<ServedEntry> = {}): ServedEntry => ({
  at,
  fingerprint: 'f',
  version: '1',
  k: 2,
  items: [
    { item_id: 'a', score: 1.5, reason: 'history' },
    { item_id: '\u{1F600}', score: 0, reason: 'history' },
  ],
  fallback: null,
  short_reason: null,
  experiment: null,
  seed: null,
  offset: 0,
  sequence: 7,
  request: {},
  ...change,
});

export const servedLogConformance = (engine: Engine<ServedLog>): void =>
  conformance<ServedLog, ServedLog>(engine, {
    contract: 'served log',
    members: MEMBERS,
    partOf: (log) => log,
    withPart: (_, log) => log,
    tests: (behaves) => {
      behaves('an entry is read back whole, at once and after it was closed', async (log, reopen) => {
        const full = entryOf(NOON, {
          items: [
            { item_id: 'a', score: 1, reason: 'history' },
            { item_id: 'b', score: -0.5, reason: 'exploration', propensity: 0.25 },
            { item_id: 'c', score: 0, reason: 'history', moved_by: ['boost', 'diversity'] },
          ],
          fallback: 'no_history',
          short_reason: 'excluded',
          experiment: { name: 'autumn', arm: 'b' },
          seed: 42,
          offset: 20,
          request: { filter: { field: 'topic', in: ['x'] }, note: 'a\nb' },
        });
        const [fullId, plainId, emptyId] = [log.append(full), log.append(entryOf(NOON)), log.append(entryOf(NOON, { items: [] }))];
        const wanted = new Map([
          [fullId, full],
          [plainId, entryOf(NOON)],
          [emptyId, entryOf(NOON, { items: [] })],
        ]);
        assert.deepEqual(await log.read(wanted.keys()), wanted);
        await log.close();
        assert.deepEqual(await (await reopen()).read([...wanted.keys()]), wanted);
      });

      behaves('ids differ, also of entries that are the same', async (log) => {
        const ids = Array.from({ length: 1000 }, () => log.append(entryOf(NOON)));
        assert.equal(new Set(ids).size, 1000);
        assert.ok(ids.every((id) => /^rec_[\w-]{1,60}$/.test(id)));
        assert.equal((await log.read(ids)).size, 1000);
      });

      behaves('of many ids, known ones are read; others are left out', async (log) => {
        const entries = [0, 1, 2].map((n) => entryOf(NOON + n * HOUR_MS, { seed: n }));
        const ids = entries.map((entry) => log.append(entry));
        const read = await log.read(['rec_unknown', '', ids[2] ?? '', 'rec_AAAAAAAAAAAAAAAAAAAAAA', ids[0] ?? '']);
        assert.deepEqual(
          read,
          new Map([
            [ids[0], entries[0]],
            [ids[2], entries[2]],
          ]),
        );
        assert.equal((await log.read([])).size, 0);
      });

      behaves('entries may come out of the order of their times', async (log) => {
        const times = [NOON + HOUR_MS, NOON, NOON + HOUR_MS + 1, NOON + 1];
        const ids = times.map((at) => log.append(entryOf(at)));
        const read = await log.read(ids);
        assert.deepEqual(
          ids.map((id) => read.get(id)?.at),
          times,
        );
      });

      behaves('the first entry of an hour, or of the next one that has any', async (log) => {
        assert.equal(await log.first(0), null);
        for (const [at, seed] of [
          [NOON + 5, 1],
          [NOON, 2],
          [NOON + 3 * HOUR_MS, 3],
        ] as const)
          log.append(entryOf(at, { seed }));
        const seedFrom = async (at: number) => (await log.first(at))?.seed;
        assert.equal(await seedFrom(0), 1);
        assert.equal(await seedFrom(NOON + HOUR_MS - 1), 1);
        assert.equal(await seedFrom(NOON + HOUR_MS), 3);
        assert.equal(await seedFrom(NOON + 4 * HOUR_MS), undefined);
      });

      behaves('hours that ended before a time expire whole', async (log) => {
        const ids = [0, 1, 2].map((n) => log.append(entryOf(NOON + n * HOUR_MS)));
        const known = async () => [...(await log.read(ids)).keys()].map((id) => ids.indexOf(id));
        await log.expire(NOON + HOUR_MS - 1); // the first hour has not ended
        assert.deepEqual(await known(), [0, 1, 2]);
        await log.expire(NOON + HOUR_MS);
        assert.deepEqual(await known(), [1, 2]);
        await log.expire(NOON + 3 * HOUR_MS);
        assert.deepEqual(await known(), []);
        assert.equal(await log.first(0), null);
        assert.equal((await log.read([log.append(entryOf(NOON))])).size, 1);
      });
    },
  });
