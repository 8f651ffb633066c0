import assert from 'node:assert/strict';
import { createItemInterner } from '../../src/domain/item-interner.js';
import type { Item, ItemFields } from '../../src/domain/item.js';
import type { RecommendContext } from '../../src/recommend/context.js';
import { createCursors } from '../../src/recommend/cursors.js';
import { plainRequest, type RecommendRequest } from '../../src/recommend/request.js';
import { openScope, type RequestScope } from '../../src/recommend/scope.js';
import type { RankedItem } from '../../src/recommend/source.js';
import type { Catalogue } from '../../src/retrieval/catalogue.js';
import type { Retrieval } from '../../src/retrieval/retrieval.js';
import { createPopularity } from '../../src/signals/popularity.js';
import { registryOf } from '../domain/registry-of.js';
import { createMemoryRetrieval } from '../retrieval/memory-retrieval.js';

export interface ContextItem {
  id: string;
  /** To every user; null: the item has no vector. */
  similarity?: number | null;
  fields?: Partial<ItemFields>;
  /** Milliseconds since 1970. */
  created?: number;
  /** Positive events. */
  positives?: number;
  /** Impressions of all users together. */
  shown?: number;
}

export interface ContextOptions {
  /** Stored users: positive items, newest first, and what was seen when. */
  users?: Record<string, { positives?: string[]; seen?: Record<string, number> }>;
  /** What was shown to whoever asks. */
  impressions?: Record<string, number>;
  context?: Partial<RecommendContext>;
}

export interface MemoryContext {
  context: RecommendContext;
  retrieval: Retrieval;
  catalogue: Catalogue;
  /** The item `me`, which is hidden, is the history unless the request says otherwise. */
  requestOf(request: Partial<RecommendRequest>): RecommendRequest;
  scopeOf(request: Partial<RecommendRequest>, changed?: Partial<RecommendContext>): Promise<RequestScope>;
  itemOf(itemId: string): Promise<Item>;
}

export const HOUR = 3_600_000;
export const TEMPERATURE = 0.1;
/** Of the items that say nothing else. */
export const CREATED = Date.now();

export const fieldsOf = (itemId: string, change: Partial<ItemFields> = {}): ItemFields => ({
  item_id: itemId,
  title: null,
  author_id: null,
  attributes: {},
  available_from: null,
  expires_at: null,
  hidden: false,
  ...change,
});

/** What the stages use, over an engine in memory: the vector of an item is [1, its similarity], that of each user [0, 1]. */
export async function memoryContext(
  items: readonly ContextItem[],
  { users = {}, impressions = {}, ...options }: ContextOptions = {},
): Promise<MemoryContext> {
  const interner = createItemInterner();
  const tower = (): Float32Array => Float32Array.of(0, 1);
  const { retrieval, catalogue } = createMemoryRetrieval({ dim: 2, similarity: 'dot', temperature: TEMPERATURE, maxHistory: 50, interner, tower });
  await retrieval.apply(
    [{ id: 'me', similarity: 0, fields: { hidden: true } }, ...items].map(({ id, similarity = 0.5, fields, created = CREATED }: ContextItem) => ({
      kind: 'put',
      fields: fieldsOf(id, fields),
      created,
      stored: similarity === null ? null : { vector: Float32Array.of(1, similarity), id_share: 0.5 },
    })),
  );
  const totalsOf = (count: (item: ContextItem) => number) => [
    items.map((item) => ({ item_id: item.id, total: count(item), newest: CREATED, is_item: 1 })),
  ];
  const popularity = await createPopularity({
    now: () => CREATED,
    halfLifeMs: HOUR,
    isKnown: (itemId) => interner.find(itemId) !== undefined,
    initial: { positives: totalsOf(({ positives = 0 }) => positives), impressions: totalsOf(({ shown = 0 }) => shown) },
  });
  const context: RecommendContext = {
    model: { fingerprint: 'f', version: '1', layer_weights: [] },
    retrieval,
    catalogue,
    attributes: registryOf(items.map(({ fields }) => fields?.attributes ?? {})),
    layerShares: async () => null,
    changes: { sequence: 7, reached: async () => true },
    events: { impressions: async () => Object.entries(impressions).map(([itemId, shown]) => ({ item_id: itemId, shown })) },
    popularity,
    histories: {
      of: async (userId) => {
        const { positives = [], seen = {} } = users[userId] ?? {};
        const indexed = Object.entries(seen).map(([itemId, at]): [number, number] => [interner.indexOf(itemId), at]);
        return { positives: Int32Array.from(positives, interner.indexOf), seen: new Map(indexed) };
      },
    },
    interner,
    cursors: createCursors('secret', 60),
    now: Date.now,
    steadyNow: Date.now,
    exploration: { budget: 10, maxAgeMs: HOUR },
    isReady: () => true,
    count: () => undefined,
    ownTurn: async () => undefined,
    ...options.context,
  };
  const requestOf = (request: Partial<RecommendRequest>): RecommendRequest => ({ ...plainRequest(request.k ?? 10), history: ['me'], ...request });
  return {
    context,
    retrieval,
    catalogue,
    requestOf,
    scopeOf: (request, changed = {}) => openScope({ ...context, ...changed }, requestOf(request)),
    itemOf: async (itemId) => {
      const [item] = await retrieval.find([itemId]);
      assert.ok(item, itemId);
      return item;
    },
  };
}

/** Items v0, v1, … of falling similarity: 1, 1 - step, … */
export const falling = (count: number, step: number, rest: (n: number) => Partial<ContextItem> = () => ({})): ContextItem[] =>
  Array.from({ length: count }, (_, n) => ({ id: `v${n}`, similarity: 1 - n * step, ...rest(n) }));

export const itemOf = (itemId: string, index: number, fields: Partial<ItemFields> = {}, created = CREATED): Item => ({
  fields: fieldsOf(itemId, fields),
  created,
  index,
  idShare: null,
});

export const ranked = (item: Item, score: number): RankedItem => ({ item, score, rankScore: score, reason: 'history', movedBy: [] });

export const idsOf = (items: readonly { readonly item: Item }[]): string[] => items.map(({ item }) => item.fields.item_id);
