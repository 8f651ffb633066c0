import { clip, demoStates } from '../build.js';
import { call, type Reply } from './call.js';
import type { Random } from './trial.js';

type Title = string | null;

interface Item {
  /** Of the last acknowledged write; null: deleted, or never there. */
  settled: Title;
  /** Of later writes without an acknowledgement: may be there or not. */
  open: Title[];
}

/** Writes to a server, and what it has acknowledged. */
export interface Ledger {
  /**
   * Writes items and events, several at a time, until the number of writes is reached or the server is gone.
   * @param onReply called with each answer
   */
  write(url: string, random: Random, count: number, onReply?: (what: string, reply: Reply) => void): Promise<void>;
  /** What is not there, or is there and was never written. */
  compare(url: string): Promise<string[]>;
  acknowledged: number;
  refused: number;
}

const LANES = 4;
const ITEMS_A_LANE = 8;
const EVENTS_A_CALL = 5;
const MAX_EVENTS = 900;
/** Statuses that promise that nothing was written. */
const NOTHING_KEPT = new Set([400, 413, 422, 429, 503, 507]);
const keptNothing = ({ status, text }: Reply): boolean => NOTHING_KEPT.has(status) && !text.includes('"write_in_doubt"');

/** @param firstTime of the events, ms since 1970 */
export function openLedger(name: string, firstTime = 1_700_000_000_000): Ledger {
  const items = new Map<string, Item>();
  const events = new Map<string, { settled: Set<string>; open: Set<string> }>();
  let serial = 0;
  const ledger: Ledger = {
    acknowledged: 0,
    refused: 0,
    write: async (url, random, count, onReply = () => undefined) => {
      let left = count;
      const record = (what: string, reply: Reply): boolean => {
        onReply(what, reply);
        const isDone = reply.status >= 200 && reply.status < 300;
        ledger[isDone ? 'acknowledged' : 'refused']++;
        return isDone;
      };
      const writeItem = async (id: string): Promise<number> => {
        const item = items.get(id) ?? { settled: null, open: [] };
        items.set(id, item);
        const title = item.settled !== null && random.chance(0.2) ? null : `${name}-${serial++}`;
        const states = random.chance(0.3) ? { hidden_states: demoStates(clip(1 + random.below(1000))) } : {};
        const reply =
          title === null
            ? await call(url, 'DELETE', `/v1/items/${id}`)
            : await call(url, 'PUT', `/v1/items/${id}${random.chance(0.5) ? '?wait=stored' : ''}`, { title, ...states });
        const isDone = record(`${title === null ? 'DELETE' : 'PUT'} ${id}`, reply) || (title === null && reply.status === 404);
        if (isDone) Object.assign(item, { settled: title, open: [] });
        else if (!keptNothing(reply)) item.open.push(title);
        return reply.status;
      };
      const writeEvents = async (user: string): Promise<number> => {
        const kept = events.get(user) ?? { settled: new Set(), open: new Set() };
        events.set(user, kept);
        if (kept.settled.size + kept.open.size >= MAX_EVENTS) return 200;
        const ids = Array.from({ length: EVENTS_A_CALL }, () => `${name}-${serial++}`);
        const sent = ids.map((id, n) => ({
          event_id: id,
          user_id: user,
          item_id: id,
          type: 'like',
          at: new Date(firstTime + serial + n).toISOString(),
        }));
        const reply = await call(url, 'POST', '/v1/events', { events: sent });
        const isDone = record(`events of ${user}`, reply);
        if (isDone || !keptNothing(reply)) for (const id of ids) kept[isDone ? 'settled' : 'open'].add(id);
        return reply.status;
      };
      const lane = async (number: number): Promise<void> => {
        while (left-- > 0) {
          const status = random.chance(0.6)
            ? await writeItem(`${name}-item-${number}-${random.below(ITEMS_A_LANE)}`)
            : await writeEvents(`${name}-user-${number}`);
          if (status === 0) return; // the process is gone
        }
      };
      await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
    },
    compare: async (url) => {
      const wrong: string[] = [];
      for (const [id, item] of items) {
        const reply = await call(url, 'GET', `/v1/items/${id}`);
        if (reply.status !== 200 && reply.status !== 404) {
          wrong.push(`GET ${id} is ${reply.status} ${reply.text.slice(0, 200)}`);
          continue;
        }
        const found = reply.status === 404 ? null : (JSON.parse(reply.text) as { title: string }).title;
        const allowed = [item.settled, ...item.open];
        if (!allowed.includes(found)) wrong.push(`${id} is ${JSON.stringify(found)}, allowed is ${JSON.stringify(allowed)}`);
        Object.assign(item, { settled: found, open: [] }); // what the open writes came to
      }
      for (const [user, kept] of events) {
        const reply = await call(url, 'GET', `/v1/users/${user}/history?limit=1000`);
        if (reply.status !== 200) {
          wrong.push(`history of ${user} is ${reply.status} ${reply.text.slice(0, 200)}`);
          continue;
        }
        const found = (JSON.parse(reply.text) as { items: { item_id: string }[] }).items.map(({ item_id: id }) => id);
        const missing = [...kept.settled].filter((id) => !found.includes(id));
        const surplus = found.filter((id, at) => (!kept.settled.has(id) && !kept.open.has(id)) || found.indexOf(id) !== at);
        if (missing.length > 0) wrong.push(`${user} lacks ${missing.length} acknowledged events, the first ${missing[0]}`);
        if (surplus.length > 0) wrong.push(`${user} has ${surplus.length} events that were not written, or twice, the first ${surplus[0]}`);
        kept.settled = new Set(found);
        kept.open.clear();
      }
      return wrong;
    },
  };
  return ledger;
}
