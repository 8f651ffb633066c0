import { createItemInterner } from '../../src/domain/item-interner.js';
import type { SearchJob } from '../../src/model/search-messages.js';
import type { RecommendAnswer } from '../../src/recommend/answer.js';
import type { RecommendContext } from '../../src/recommend/context.js';
import { createCursors } from '../../src/recommend/cursors.js';
import { recommend } from '../../src/recommend/pipeline.js';
import { plainRequest, type RecommendRequest } from '../../src/recommend/request.js';
import { createEmbeddedRetrieval } from '../../src/retrieval/embedded/embedded-retrieval.js';
import type { Catalogue } from '../../src/retrieval/catalogue.js';
import type { IndexChange, Retrieval } from '../../src/retrieval/retrieval.js';
import { createPopularity, type Popularity } from '../../src/signals/popularity.js';
import { registryOf } from '../domain/registry-of.js';
import { manualClock } from '../manual-clock.js';
import { createInThreadPool } from '../retrieval/in-thread-pool.js';

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
  retrieval: Retrieval;
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
  const user = Float32Array.of(0, 1);
  const { pool, searches } = createInThreadPool({ dim: 2, similarity: 'dot', tower: () => user, reach });
  const manifest = { dim: 2, similarity: 'dot', variant: 'dff', temperature: TEMPERATURE, max_history: 50 } as const;
  const interner = createItemInterner();
  const { retrieval, catalogue } = createEmbeddedRetrieval({ manifest, pool, interner, clock: manualClock(NOW) });
  const putOf = ({ id, similarity, aside = 1, author, attributes = {}, hidden = false, created = NOW }: MemoryItem): IndexChange => ({
    kind: 'put',
    fields: { item_id: id, title: null, author_id: author ?? null, attributes, available_from: null, expires_at: null, hidden },
    created,
    stored: { vector: Float32Array.of(aside, similarity), id_share: 0.5 },
  });
  await retrieval.apply([putOf({ id: 'me', similarity: 0, hidden: true }), ...items.map(putOf)]);
  const positives = items.map(({ id, positives: total = 0 }) => ({ item_id: id, total, newest: NOW, is_item: 1 }));
  const popularity = await createPopularity({
    now: () => NOW,
    halfLifeMs: 3_600_000,
    isKnown: (itemId) => items.some(({ id }) => id === itemId),
    initial: { positives: [positives], impressions: [] },
  });
  const context: RecommendContext = {
    model: { fingerprint: 'f', version: '1', layer_weights: [] },
    retrieval,
    catalogue,
    attributes: registryOf(items.map(({ attributes = {} }) => attributes)),
    layerShares: async () => null,
    changes: { sequence: 0, reached: async () => true },
    events: { impressions: async () => [] },
    popularity,
    histories: { of: async () => ({ positives: new Int32Array(0), seen: new Map() }) },
    interner,
    cursors: createCursors('secret', 60),
    now: Date.now,
    steadyNow: Date.now,
    exploration: { budget: 10, maxAgeMs: 3_600_000 },
    isReady: () => true,
    count: () => undefined,
    ownTurn: async () => undefined,
  };
  const ask = (request: Partial<RecommendRequest>): Promise<RecommendAnswer> =>
    recommend(context, { ...plainRequest(request.k ?? 10), history: ['me'], ...request });
  return {
    ask,
    ids: async (request) => (await ask(request)).items.map(({ item }) => item.fields.item_id),
    searches,
    retrieval,
    catalogue,
    popularity,
  };
}

/** Items of falling similarity: 1, 1 - step, … */
export const falling = (count: number, step: number, rest: (n: number) => Partial<MemoryItem> = () => ({})): MemoryItem[] =>
  Array.from({ length: count }, (_, n) => ({ id: `v${n}`, similarity: 1 - n * step, ...rest(n) }));
