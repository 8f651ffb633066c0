import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFeedFollower } from '../../src/ingest/feed-follower.js';
import { createIndexLevels } from '../../src/ingest/index-levels.js';
import { storageProblem } from '../../src/storage-faults.js';
import type { ItemChange } from '../../src/store/changes.js';

const CHANGES: ItemChange[] = [1, 2].map((sequence) => ({ sequence, item_id: `item-${sequence}`, kind: 'delete', written: null }));

/** Follows two changes whose reads fail first with these errors. */
function follow(failures: Error[]): { taken: number[]; ended: Promise<Error | null>; stop: () => void } {
  const levels = createIndexLevels();
  const taken: number[] = [];
  let end: (error: Error | null) => void = () => undefined;
  const ended = new Promise<Error | null>((resolve) => (end = resolve));
  const follower = createFeedFollower({
    changes: {
      itemSequence: 2,
      since: async (after) => {
        const failure = failures.shift();
        if (failure !== undefined) throw failure;
        return CHANGES.filter(({ sequence }) => sequence > after);
      },
      onItemChange: () => () => undefined,
    },
    levels,
    take: async (batch) => {
      taken.push(...batch.map(({ sequence }) => sequence));
      return { indexed: Promise.resolve() };
    },
    pace: async () => undefined,
    onError: end,
    retryMs: 1,
  });
  follower.start(0);
  levels.reached('applied', 2).then(
    () => end(null),
    () => undefined,
  );
  return { taken, ended, stop: () => follower.stop() };
}

test('while the disk fails the feed is read again, and nothing of it is left out', { timeout: 10_000 }, async () => {
  const { taken, ended } = follow([storageProblem('failed'), Object.assign(new Error('x'), { code: 'EIO' })]);
  assert.equal(await ended, null);
  assert.deepEqual(taken, [1, 2]);
});

test('damage, and what is no fault of the disk, ends it', { timeout: 10_000 }, async () => {
  for (const failure of [storageProblem('damaged'), new Error('a bug')]) {
    const { taken, ended } = follow([failure]);
    assert.equal(await ended, failure);
    assert.deepEqual(taken, []);
  }
});
