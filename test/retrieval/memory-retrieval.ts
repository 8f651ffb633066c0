import { matcherOf, type Filter } from '../../src/domain/filter.js';
import { availabilityOf, isServable, stateOf, type Item, type ItemState } from '../../src/domain/item.js';
import type { ItemInterner } from '../../src/domain/item-interner.js';
import type { Catalogue } from '../../src/retrieval/catalogue.js';
import { SearchEnded, type Candidate, type CandidateStream, type IndexChange, type Query, type Retrieval } from '../../src/retrieval/retrieval.js';
import { dot, moveAway, scaled, sumTower, type Tower } from './tower.js';

export interface MemoryRetrievalOptions {
  dim: number;
  similarity: 'dot' | 'cosine';
  temperature: number;
  maxHistory: number;
  interner: ItemInterner;
  tower?: Tower;
}

interface Kept {
  item: Item;
  /** As the similarity compares it; null: the item has none. */
  vector: Float32Array | null;
  /** As it was put, for the tower. */
  stored: Float32Array | null;
}

/** The smallest engine that keeps the contract: everything is scored once for each stream. */
export function createMemoryRetrieval(options: MemoryRetrievalOptions): { retrieval: Retrieval; catalogue: Catalogue } {
  const kept = new Map<number, Kept>();
  const indexOf = (itemId: string): number => options.interner.find(itemId) ?? -1;
  const retrieval: Retrieval = {
    search: async (query) => {
      const asked = queryVectors(query, kept, options);
      if (asked === null) return null;
      if (query.isLate()) throw new SearchEnded();
      return streamOf(asked, kept);
    },
    hydrate: async (named) => named.map(({ index }) => kept.get(index)?.item),
    find: async (itemIds) => itemIds.map((itemId) => kept.get(indexOf(itemId))?.item),
    vectors: async (items) => {
      const rows = new Float32Array(items.length * options.dim);
      items.forEach(({ index }, row) => rows.set(kept.get(index)?.vector ?? [], row * options.dim));
      return rows;
    },
    apply: async (changes) => ({ unknown: changes.flatMap((change) => applyTo(kept, change, options)) }),
    close: async () => undefined,
  };
  return { retrieval, catalogue: catalogueOf(kept) };
}

/** @returns the id of an item that is not known */
function applyTo(kept: Map<number, Kept>, change: IndexChange, { interner, similarity }: MemoryRetrievalOptions): string[] {
  if (change.kind === 'delete') {
    kept.delete(interner.find(change.itemId) ?? -1);
    return [];
  }
  const { fields } = change;
  if (change.kind === 'fields') {
    const known = kept.get(interner.find(fields.item_id) ?? -1);
    if (known === undefined) return [fields.item_id];
    kept.set(known.item.index, { ...known, item: { ...known.item, fields } });
    return [];
  }
  const { created, stored } = change;
  const index = interner.indexOf(fields.item_id);
  const item = { fields, created, index, idShare: stored?.id_share ?? null };
  kept.set(index, { item, vector: stored && scaled(stored.vector, similarity), stored: stored?.vector ?? null });
  return [];
}

interface QueryVectors {
  history: readonly number[];
  query: Float32Array;
  /** Without each item of the history; empty for a history of one item. */
  without: readonly Float32Array[];
  temperature: number;
}

/** Null: there is nothing to search by. */
function queryVectors(query: Query, kept: ReadonlyMap<number, Kept>, options: MemoryRetrievalOptions): QueryVectors | null {
  const { similarity, temperature, maxHistory, tower = sumTower } = options;
  const disliked = query.disliked.flatMap((index) => kept.get(index)?.stored ?? []);
  const away = (vector: Float32Array): Float32Array => moveAway(scaled(vector, similarity), disliked, similarity);
  if (query.similarTo !== null) {
    const around = kept.get(query.similarTo)?.vector ?? null;
    return around === null ? null : { history: [], query: away(around), without: [], temperature: 1 };
  }
  const embedded = Array.from(query.history, (index) => ({ index, vector: kept.get(index)?.stored ?? null }))
    .filter((entry): entry is { index: number; vector: Float32Array } => entry.vector !== null)
    .slice(0, maxHistory)
    .reverse();
  if (embedded.length === 0) return null;
  const embed = (entries: readonly { vector: Float32Array }[]): Float32Array => away(tower(entries.map(({ vector }) => vector)));
  const without = embedded.length === 1 ? [] : embedded.map((left) => embed(embedded.filter((entry) => entry !== left)));
  return { history: embedded.map(({ index }) => index), query: embed(embedded), without, temperature };
}

function streamOf({ history, query, without, temperature }: QueryVectors, kept: ReadonlyMap<number, Kept>): CandidateStream {
  const scoreBy = (by: Float32Array, index: number): number => {
    const vector = kept.get(index)?.vector ?? null;
    return vector === null ? 0 : dot(by, vector) / temperature;
  };
  let left: Candidate[] = [...kept.values()]
    .filter(({ item, vector }) => vector !== null && isServable(item, Date.now()))
    .map(({ item: { index } }) => ({ index, score: scoreBy(query, index) }))
    .sort((a, b) => b.score - a.score);
  const admitted = (admits: Filter | null): Candidate[] => {
    if (admits === null) return left;
    const matches = matcherOf(admits);
    return left.filter(({ index }) => {
      const known = kept.get(index);
      return known !== undefined && matches(known.item);
    });
  };
  return {
    next: async (count, admits) => {
      const page = admitted(admits).slice(0, count);
      const returned = new Set(page);
      left = left.filter((candidate) => !returned.has(candidate));
      return page;
    },
    upperBound: () => left[0]?.score ?? -Infinity,
    history,
    score: async (items) => items.map(({ index }) => scoreBy(query, index)),
    scoresWithout: async (items) => items.map(({ index }) => (kept.get(index)?.vector == null ? [] : without.map((by) => scoreBy(by, index)))),
    timings: { queue: 0, user_tower: 0, search: 0 },
  };
}

function catalogueOf(kept: ReadonlyMap<number, Kept>): Catalogue {
  const withVector = (): Item[] => [...kept.values()].flatMap(({ item, vector }) => (vector === null ? [] : [item]));
  return {
    status: async () => {
      const states: Record<ItemState, number> = { searchable: 0, pending_features: 0, stored: 0, hidden: 0 };
      for (const { item, vector } of kept.values()) states[stateOf(item.fields, vector !== null, true)]++;
      const findable = withVector().filter((item) => isServable(item, Date.now())).length;
      return { size: kept.size, states, findable, deadNodes: 0 };
    },
    countUnavailable: async (now) => {
      const found = { scheduled: 0, expired: 0 };
      for (const { item } of kept.values()) {
        const availability = availabilityOf(item.fields, now);
        if (!item.fields.hidden && availability !== 'now') found[availability]++;
      }
      return found;
    },
    countWith: (attribute) => [...kept.values()].filter(({ item }) => Object.hasOwn(item.fields.attributes, attribute)).length,
    sample: async (count, now) => {
      const servable = withVector().filter((item) => isServable(item, now));
      const stride = Math.max(1, servable.length / count);
      return servable.filter((_, n) => Math.floor(n / stride) > Math.floor((n - 1) / stride)).slice(0, count);
    },
    random: async () => withVector().at(Math.floor(Math.random() * withVector().length)),
    all: {
      get size() {
        return kept.size;
      },
      *items() {
        for (const { item } of kept.values()) yield item;
      },
    },
  };
}
