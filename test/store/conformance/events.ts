import assert from 'node:assert/strict';
import type { CountChange, EventStore, ItemTotal } from '../../../src/store/events.js';
import { conformanceOf, event, impression, item } from './stores.js';

const MEMBERS = {
  append: true,
  eraseUser: true,
  expire: true,
  purgeErased: true,
  history: true,
  recent: true,
  impressions: true,
  positives: true,
  users: true,
  popularity: true,
  impressionCounts: true,
  onUserChange: true,
  onCount: true,
} as const;

const idsOf = (entries: readonly { item_id: string }[]): string[] => entries.map(({ item_id: id }) => id);
const range = (length: number): number[] => Array.from({ length }, (_, n) => n);

/** By item_id; every item once, whatever page it comes in. */
async function totalsOf<Total extends ItemTotal>(pages: AsyncIterable<readonly Total[]>): Promise<Total[]> {
  const totals: Total[] = [];
  for await (const page of pages) totals.push(...page);
  assert.equal(new Set(idsOf(totals)).size, totals.length);
  return totals.sort((a, b) => (a.item_id < b.item_id ? -1 : 1));
}

const positivesOf = async (events: EventStore, user: string) => (await events.recent(user)).positives;

/** What the listeners of counts have heard since. */
function changesOf(events: EventStore): CountChange[] {
  const heard: CountChange[] = [];
  events.onCount((change) => heard.push(change));
  return heard;
}

const countedIn = (changes: readonly CountChange[]): [positives: string[], impressions: string[]] => {
  const sign = ({ isErased }: CountChange): string => (isErased ? '-' : '+');
  return [
    changes.flatMap((change) => change.positives.map(({ item_id: id, at }) => `${sign(change)}${id} ${at}`)).sort(),
    changes.flatMap((change) => change.impressions.map((id) => `${sign(change)}${id}`)).sort(),
  ];
};

export const eventsConformance = conformanceOf('events', MEMBERS, (behaves) => {
  behaves('an event id counts once, within a call and across calls', async ({ events }) => {
    assert.deepEqual((await events.append([event('1', 'u', 'a', 1), event('1', 'u', 'b', 2)])).accepted, [true, false]);
    assert.deepEqual((await events.append([event('1', 'u', 'c', 3), event('2', 'u', 'd', 4)])).accepted, [false, true]);
    assert.deepEqual(idsOf(await events.history('u', 10)), ['d', 'a']);
  });

  behaves('an event id counts once after a restart, too', async ({ events }, reopen) => {
    const { sequence } = await events.append([event('1', 'u', 'a', 1)]);
    const { events: reopened } = await reopen();
    assert.deepEqual(await reopened.append([event('1', 'u', 'b', 2)]), { accepted: [false], sequence });
    assert.deepEqual(await reopened.history('u', 10), [{ item_id: 'a', type: 'view', at: 1 }]);
  });

  behaves('the sequence of a call is that of its newest event; of duplicates alone, that of the store', async ({ events, items, changes }) => {
    const { sequence: ofEvents } = await events.append([event('1', 'u', 'a', 1), event('2', 'u', 'a', 1), event('2', 'u', 'a', 1)]);
    assert.equal(changes.sequence, ofEvents);
    const { sequence } = await items.put(item('a'));
    assert.ok(sequence > ofEvents);
    assert.deepEqual(await events.append([event('1', 'u', 'a', 1)]), { accepted: [false], sequence });
    assert.deepEqual(await events.append([]), { accepted: [], sequence });
    assert.deepEqual([changes.sequence, changes.itemSequence], [sequence, sequence]);
  });

  behaves('counts change by each event once, and not by one that was known', async ({ events }) => {
    const heard = changesOf(events);
    await events.append([event('1', 'u', 'a', 1), event('1', 'u', 'b', 1), event('2', 'u', 'skipped', 2, false), impression('3', 'u', 'c', 3)]);
    await events.append([event('1', 'u', 'a', 1), event('4', 'v', 'a', 4)]);
    assert.deepEqual(countedIn(heard), [['+a 1', '+a 4'], ['+c']]);
  });

  behaves('late events take their place by time; negatives are seen, but no history', async ({ events }) => {
    await events.append([event('1', 'u', 'new', 100), event('2', 'u', 'old', 50), event('3', 'u', 'skipped', 70, false)]);
    assert.deepEqual(idsOf(await events.history('u', 10)), ['new', 'old']);
    assert.deepEqual(idsOf(await events.history('u', 1)), ['new']);
    assert.deepEqual(await positivesOf(events, 'u'), ['new', 'old']);
    assert.deepEqual(
      [...(await events.recent('u')).seen],
      [
        ['new', 100],
        ['skipped', 70],
        ['old', 50],
      ],
    );
    assert.deepEqual(await events.users(null, 10), [{ user_id: 'u', events: 2 }]);
  });

  behaves('events of one time are ordered by their arrival; an impression is not seen', async ({ events }) => {
    await events.append([event('1', 'u', 'first', 5), event('2', 'u', 'second', 5), impression('3', 'u', 'shown', 5)]);
    assert.deepEqual(idsOf(await events.history('u', 10)), ['second', 'first']);
    const { positives, seen } = await events.recent('u');
    assert.deepEqual(
      [positives, [...seen.keys()]],
      [
        ['second', 'first'],
        ['second', 'first'],
      ],
    );
    assert.deepEqual(await events.recent('nobody'), { positives: [], seen: new Map() });
  });

  behaves("recent items follow every change of a user's events, and listeners hear of it before it resolves", async ({ events }) => {
    const heard: (string | null)[] = [];
    events.onUserChange((user) => heard.push(user));
    const positives = (user: string) => positivesOf(events, user);
    assert.deepEqual(await positives('u'), []);
    await events.append([event('1', 'u', 'a', 1), event('2', 'v', 'b', 1)]);
    assert.deepEqual([await positives('u'), await positives('v')], [['a'], ['b']]);
    await events.append([event('3', 'u', 'c', 2), event('4', 'u', 'a', 3)]);
    assert.deepEqual([await positives('u'), await positives('v')], [['a', 'c'], ['b']]);
    await events.expire({ from: 0, before: 2, upTo: 0 }, 10);
    assert.deepEqual([await positives('u'), await positives('v')], [['a', 'c'], []]);
    await events.eraseUser('u', 10);
    assert.deepEqual(await positives('u'), []);
    assert.deepEqual(heard, ['u', 'v', 'u', 'u', null, 'u']);
  });

  behaves('an old positive stays in the history, and seen, behind a thousand newer skips', async ({ events }) => {
    const skips = range(1000).map((n) => event(`skip-${n}`, 'u', `skipped-${n}`, 10 + n, false));
    await events.append([event('1', 'u', 'watched', 1), ...skips]);
    assert.deepEqual(await positivesOf(events, 'u'), ['watched']);
    assert.equal((await events.recent('u')).seen.get('watched'), 1);
  });

  behaves('the newest 1,000 items are seen, and no older ones', async ({ events }) => {
    await events.append(range(1003).map((n) => event(`${n}`, 'u', `item-${n}`, n, false)));
    const { seen } = await events.recent('u');
    assert.deepEqual([seen.size, seen.has('item-3'), seen.has('item-2')], [1000, true, false]);
  });

  behaves('many events of few items do not hide the items before them, for 16,000 events', async ({ events }) => {
    await events.append([event('old', 'u', 'old', 0, false), event('positive', 'u', 'positive', 0)]);
    await events.append(range(5000).map((n) => event(`${n}`, 'u', `item-${n % 10}`, n + 1, false)));
    const { seen, positives } = await events.recent('u');
    assert.deepEqual([seen.size, seen.get('item-9'), seen.get('old'), positives], [12, 5000, 0, ['positive']]);
    await events.append(range(11_000).map((n) => event(`more-${n}`, 'u', 'item-0', n + 10_000, false)));
    const later = await events.recent('u');
    assert.deepEqual([later.seen.size, later.seen.get('item-0'), later.seen.has('old')], [11, 20_999, false]);
    assert.deepEqual(later.positives, ['positive']); // among the newest 1,000 positives all the same
  });

  behaves('a user is erased in steps of a limit, whatever kinds of events there are', async ({ events }) => {
    await events.append([event('1', 'u', 'a', 1), event('2', 'u', 'b', 2), event('3', 'v', 'c', 3), impression('4', 'u', 'd', 4)]);
    const steps: number[] = [];
    for (const _ of [1, 2, 3]) steps.push((await events.eraseUser('u', 2)).events);
    assert.deepEqual(steps, [2, 1, 0]);
    assert.deepEqual(await positivesOf(events, 'v'), ['c']);
  });

  behaves('an erasure says what it has taken; it is a change, one that erases nothing is none', async ({ events, changes }, reopen) => {
    const { sequence: appended } = await events.append([
      event('1', 'u', 'a', 1),
      event('2', 'u', 'a', 2),
      event('3', 'u', 'b', 3, false),
      impression('4', 'u', 'c', 4),
    ]);
    const taken = changesOf(events);
    const { sequence, events: erased } = await events.eraseUser('u', 10);
    assert.ok(sequence > appended);
    assert.deepEqual([erased, changes.sequence], [4, sequence]);
    assert.deepEqual(await events.eraseUser('u', 10), { events: 0, sequence });
    assert.deepEqual(countedIn(taken), [['-a 1', '-a 2'], ['-c']]);
    assert.equal(await events.purgeErased(10_000), true);
    const reopened = await reopen();
    assert.equal(reopened.changes.sequence, sequence); // a number is never given out twice
    assert.deepEqual((await reopened.events.append([event('1', 'u', 'a', 1)])).accepted, [true]); // nothing of it is known
  });

  behaves('events older than a time are dropped in steps of a limit, oldest first', async ({ events, changes }) => {
    await events.append([event('1', 'u', 'c', 3), event('2', 'v', 'a', 1), impression('3', 'u', 'b', 2), event('4', 'u', 'd', 4)]);
    const taken = changesOf(events);
    assert.deepEqual(await events.expire({ from: 0, before: 4, upTo: 0 }, 2), { events: 2, sequence: changes.sequence });
    assert.deepEqual(countedIn(taken.splice(0)), [['-a 1'], ['-b']]);
    assert.equal((await events.expire({ from: 0, before: 4, upTo: 0 }, 2)).events, 1);
    assert.deepEqual(countedIn(taken), [['-c 3'], []]);
    assert.equal((await events.expire({ from: 0, before: 4, upTo: 0 }, 2)).events, 0);
    assert.deepEqual(idsOf(await events.history('u', 10)), ['d']);
  });

  behaves('impressions of a user are counted by item since a time', async ({ events }) => {
    await events.append([impression('1', 'u', 'a', 1), impression('2', 'u', 'a', 2), impression('3', 'u', 'b', 2), impression('4', 'v', 'a', 3)]);
    const counts = async (since: number) => (await events.impressions('u', since)).sort((a, b) => (a.item_id < b.item_id ? -1 : 1));
    assert.deepEqual(await counts(0), [
      { item_id: 'a', shown: 2 },
      { item_id: 'b', shown: 1 },
    ]);
    assert.deepEqual(await counts(2), [
      { item_id: 'a', shown: 1 },
      { item_id: 'b', shown: 1 },
    ]);
    assert.deepEqual(await counts(3), []);
  });

  behaves('positives since a time are read in pages by sequence', async ({ events }) => {
    await events.append([
      { ...event('1', 'u', 'a', 30), recommendation_id: 'rec_1' },
      event('2', 'u', 'b', 10),
      event('3', 'u', 'c', 40, false),
      event('4', 'v', 'd', 20),
    ]);
    const found = await events.positives(0, 0, 10);
    const [first = 0, second = 0, last = 0] = found.map(({ sequence }) => sequence);
    assert.ok(first < second && second < last);
    const [a, b, d] = [
      { sequence: first, item_id: 'a', at: 30, recommendation_id: 'rec_1' },
      { sequence: second, item_id: 'b', at: 10, recommendation_id: null },
      { sequence: last, item_id: 'd', at: 20, recommendation_id: null },
    ];
    assert.deepEqual(found, [a, b, d]);
    assert.deepEqual(await events.positives(0, 0, 2), [a, b]);
    assert.deepEqual(await events.positives(0, second, 2), [d]);
    assert.deepEqual(await events.positives(20, 0, 10), [a, d]);
    assert.deepEqual(await events.positives(31, 0, 10), []);
  });

  behaves('users with positives are read in pages by id', async ({ events }) => {
    await events.append([
      event('1', 'b', 'x', 1),
      event('2', '\u{1F600}', 'x', 1),
      event('3', '\uFFFD', 'x', 1),
      event('4', 'b', 'y', 1),
      event('5', 'a', 'x', 1, false),
    ]);
    const [b, replacement, smile] = [
      { user_id: 'b', events: 2 },
      { user_id: '\uFFFD', events: 1 },
      { user_id: '\u{1F600}', events: 1 },
    ];
    assert.deepEqual(await events.users(null, 10), [b, replacement, smile]);
    assert.deepEqual(await events.users(null, 1), [b]);
    assert.deepEqual(await events.users('b', 1), [replacement]);
    assert.deepEqual(await events.users('\uFFFD', 10), [smile]);
  });

  behaves('popularity halves with each half-life and ignores negatives', async ({ events, items }) => {
    await events.append([event('1', 'u', 'a', 0), event('2', 'v', 'a', 1000), event('3', 'w', 'a', 1000, false)]);
    assert.deepEqual(await totalsOf(events.popularity(1000, 1000)), [{ item_id: 'a', newest: 1000, total: 1.5, is_item: 0 }]);
    await items.put(item('a'));
    assert.deepEqual(await totalsOf(events.popularity(1000, 1000)), [{ item_id: 'a', newest: 1000, total: 1.5, is_item: 1 }]);
    const years = 10 * 365 * 24 * 3_600_000;
    const [ofYears] = await totalsOf(events.popularity(1000, years));
    assert.ok(Math.abs((ofYears?.total ?? 0) - 2) < 1e-6);
  });

  behaves(
    'popularity is as exact for what is ten years old, and takes an event of the future for as old as the one before it',
    async ({ events }) => {
      const years = 10 * 365 * 24 * 3_600_000;
      await events.append([
        event('1', 'u', 'old', 1000),
        event('2', 'v', 'old', 2000),
        event('3', 'u', 'ahead', years),
        event('4', 'u', 'late', 500),
        event('5', 'u', 'ahead', years + 1),
        event('6', 'u', 'new', 3000),
      ]);
      const weights = async (now: number) =>
        new Map((await totalsOf(events.popularity(now, 1000))).map(({ item_id: id, newest, total }) => [id, [newest, total]]));
      const old = [2000, 1.5];
      assert.deepEqual(
        await weights(4000),
        new Map([
          ['old', old],
          ['ahead', [2000, 2]],
          ['late', [500, 1]],
          ['new', [3000, 1]],
        ]),
      );
      assert.deepEqual((await weights(2 * years)).get('old'), old);
      assert.deepEqual(
        [...(await weights(-1)).values()],
        [...(await weights(-1)).keys()].map((id) => [-1, id === 'old' || id === 'ahead' ? 2 : 1]),
      );
    },
  );

  behaves('impressions are counted over all users', async ({ events, items }) => {
    assert.deepEqual(await totalsOf(events.impressionCounts()), []);
    await items.put(item('a'));
    await events.append([impression('1', 'u', 'a', 1), impression('2', 'v', 'a', 1), impression('3', 'v', 'gone', 1), event('4', 'v', 'b', 1)]);
    assert.deepEqual(await totalsOf(events.impressionCounts()), [
      { item_id: 'a', total: 2, is_item: 1 },
      { item_id: 'gone', total: 1, is_item: 0 },
    ]);
  });

  behaves('totals of many items come whole, two at once, while others write and read', async ({ events }) => {
    const count = 5000;
    await events.append(range(count).map((n) => event(`${n}`, 'u', `item-${n}`, 0)));
    const never = events.popularity(0, 1000); // one that nobody reads is in nobody's way
    const reading = [totalsOf(events.popularity(0, 1000)), totalsOf(events.popularity(1000, 1000))];
    await events.append([event('more', 'v', 'other', 0)]);
    assert.deepEqual(idsOf(await events.history('v', 10)), ['other']);
    const [whole, half] = await Promise.all(reading);
    const read = (whole ?? []).filter(({ item_id: id }) => id !== 'other'); // read or not, it came meanwhile
    assert.equal(read.length, count);
    assert.deepEqual(new Set(read.map(({ total }) => total)), new Set([1]));
    assert.equal(half?.[0]?.newest, 0);
    assert.ok(never);
  });

  behaves('totals that are left before their end are in nobody’s way', async ({ events }, reopen) => {
    await events.append(range(5000).map((n) => event(`${n}`, 'u', `item-${n}`, 0)));
    for await (const page of events.popularity(0, 1000)) {
      assert.ok(page.length > 0);
      break;
    }
    await events.eraseUser('u', 5000);
    assert.equal(await events.purgeErased(10_000), true);
    assert.deepEqual(await totalsOf((await reopen()).events.popularity(0, 1000)), []);
  });
});
