import { createCatalogue, type Catalogue, type PublishedItem } from '../../src/retrieval/embedded/catalogue.js';
import type { Generation } from '../../src/generations/generation.js';
import { createPopularity, type Popularity } from '../../src/signals/popularity.js';
import { createExactIndex } from '../../src/index/exact.js';
import { searchAllowed } from '../../src/index/filtered.js';
import { createItemRows } from '../../src/domain/item-interner.js';
import type { Searched } from '../../src/model/recommender-pool.js';
import type { SearchJob } from '../../src/model/search-messages.js';
import { manualClock } from '../manual-clock.js';
import { createCursors } from '../../src/recommend/cursors.js';
import { recommend } from '../../src/recommend/pipeline.js';
import { plainRequest, type RecommendAnswer, type RecommendContext, type RecommendRequest } from '../../src/recommend/request.js';

export interface MemoryItem {
  id: string;
  /** Similarity to every user. */
  similarity: number;
  /** The other coordinate of the vector: what makes items unlike each other. */
  aside?: number;
  author?: string;
  attributes?: Record<string, unknown>;
  hidden?: boolean;
  /** Milliseconds since 1970. */
  created?: number;
  /** Positive events. */
  positives?: number;
}

export interface MemoryFeed {
  ask(request: Partial<RecommendRequest>): Promise<RecommendAnswer>;
  ids(request: Partial<RecommendRequest>): Promise<string[]>;
  /** What the recommenders were asked for. */
  searches: SearchJob[];
  catalogue: Catalogue;
  popularity: Popularity;
}

const TEMPERATURE = 0.1;
const NOW = Date.now();

/**
 * The pipeline over a catalogue in this thread, with the similarities that a test wants: an item of vector [aside, s]
 * resembles each user, who is [0, 1], by s. The item `me`, which is hidden, is everybody's history.
 * @param reach how many the graph finds at most; the others are lost to it
 */
export async function memoryFeed(items: readonly MemoryItem[], reach = Infinity): Promise<MemoryFeed> {
  const searches: SearchJob[] = [];
  const user = Float32Array.of(0, 1);
  const pool = {
    grow: async () => undefined,
    update: async ({ add, remove }: { add: number[]; remove: number[] }) => {
      for (const slot of remove) exact.remove(slot);
      for (const slot of add) exact.add(slot);
    },
  };
  const catalogue = createCatalogue(2, false, pool, createItemRows(), manualClock(NOW));
  const exact = createExactIndex(catalogue.table);
  const find = ({ options, count }: SearchJob) =>
    options?.allowed != null
      ? searchAllowed(exact, catalogue.table, options.allowed, user, count, Infinity)
      : exact.search(user, options?.exact === true ? count : Math.min(count, reach));
  const search = async (prepare: () => SearchJob | null): Promise<Searched | null> => {
    const job = prepare();
    if (job === null) return null;
    searches.push(job);
    const batch = find(job);
    return { batch, first: 0, count: batch.slots.length, vectors: { user, without: [] }, queueMs: 0, towerMs: 0, searchMs: 0 };
  };
  const published = ({ id, similarity, aside = 1, author, attributes = {}, hidden = false, created = NOW }: MemoryItem): PublishedItem => ({
    fields: { item_id: id, title: null, author_id: author ?? null, attributes, available_from: null, expires_at: null, hidden },
    created,
    vector: Float32Array.of(aside, similarity),
    idShare: null,
  });
  await catalogue.publish([published({ id: 'me', similarity: 0, hidden: true }), ...items.map(published)]);
  const positives = items.map(({ id, positives: weight = 0 }) => ({ item_id: id, weight, is_item: 1 }));
  const popularity = createPopularity({
    origin: NOW,
    halfLifeMs: 3_600_000,
    isKnown: (itemId) => catalogue.get(itemId) !== undefined,
    initial: { positives, impressions: [] },
  });
  const context: RecommendContext = {
    store: {
      impressions: () => [],
      hiddenStates: () => null,
      sequence: () => 0,
      reached: async () => true,
    },
    // of a generation the pipeline uses no more than this
    generation: { pool: { search }, catalogue, artifact: { manifest: { temperature: TEMPERATURE, max_history: 50 } } } as unknown as Generation,
    popularity,
    histories: { of: () => ({ positives: new Int32Array(0), met: new Map() }) },
    cursors: createCursors('secret', 60),
    exploration: { budget: 10, maxAgeMs: 3_600_000 },
    isReady: () => true,
  };
  const ask = (request: Partial<RecommendRequest>): Promise<RecommendAnswer> =>
    recommend(context, { ...plainRequest(request.k ?? 10), history: ['me'], ...request });
  return {
    ask,
    ids: async (request) => (await ask(request)).items.map(({ item }) => item.fields.item_id),
    searches,
    catalogue,
    popularity,
  };
}

/** Items of falling similarity: 1, 1 - step, … */
export const falling = (count: number, step: number, rest: (n: number) => Partial<MemoryItem> = () => ({})): MemoryItem[] =>
  Array.from({ length: count }, (_, n) => ({ id: `v${n}`, similarity: 1 - n * step, ...rest(n) }));
