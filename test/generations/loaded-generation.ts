import { stateOf, type Item, type ItemState } from '../../src/domain/item.js';
import { createItemInterner, type ItemInterner } from '../../src/domain/item-interner.js';
import { createGeneration, type Generation } from '../../src/generations/generation.js';
import { createIndexer, type IndexerSetup } from '../../src/ingest/indexer.js';
import type { Artifact } from '../../src/model/artifact.js';
import type { Fuser } from '../../src/model/fuser.js';
import type { Catalogue } from '../../src/retrieval/catalogue.js';
import type { IndexChange, Query, Retrieval } from '../../src/retrieval/retrieval.js';
import { fusingModel, scriptedStore } from '../ingest/write-side.js';

export interface GenerationDoubles {
  artifact?: Artifact;
  stores?: IndexerSetup['stores'];
  interner?: ItemInterner;
  onFailure?: (error: Error) => void;
  /** Called with the name of each part that is closed. */
  onClose?: (part: string) => void;
}

/** A generation whose retrieval keeps items in a map, and whose searches find the first of them. */
export function loadedGeneration({
  artifact = fusingModel().model.artifact as Artifact, // no more of it is asked for
  stores = scriptedStore().stores,
  interner = createItemInterner(),
  onFailure = () => undefined,
  onClose = () => undefined,
}: GenerationDoubles) {
  const items = new Map<string, Item>();
  /** Items that searches were made around. */
  const searched = new Set<number>();
  const state = { recall: 1, deadNodes: 0, fuseError: null as Error | null };
  let fused = 0;
  const fuser: Fuser = {
    provider: 'cpu',
    skipped: [],
    fuse: async () => {
      if (state.fuseError !== null) throw state.fuseError;
      fused++;
      return { vector: Float32Array.of(1, 0), idShare: 0.5 };
    },
    close: async () => onClose('fuser'),
  };
  const withVector = (): Item[] => [...items.values()].filter(({ idShare }) => idShare !== null);
  const applyOne = (change: IndexChange, unknown: string[]): void => {
    if (change.kind === 'delete') return void items.delete(change.itemId);
    const { fields } = change;
    const known = items.get(fields.item_id);
    if (change.kind === 'put') {
      const { created, stored } = change;
      items.set(fields.item_id, { fields, created, index: interner.indexOf(fields.item_id), idShare: stored?.id_share ?? null });
    } else if (known === undefined) unknown.push(fields.item_id);
    else items.set(fields.item_id, { ...known, fields });
  };
  const retrieval: Retrieval = {
    search: async ({ history, exact }: Query, _rules, count) => {
      if (history.length === 0) return null;
      for (const index of Array.from(history)) searched.add(index);
      const found = withVector()
        .slice(0, exact ? count : Math.round(count * state.recall))
        .map(({ index }) => ({ index, score: 0 }));
      return {
        next: async () => found.splice(0),
        upperBound: () => -Infinity,
        history: [],
        score: async (scored) => scored.map(() => 0),
        scoresWithout: async () => [],
        timings: { queue: 0, user_tower: 0, search: 0 },
      };
    },
    hydrate: async (named) => named.map(({ index }) => [...items.values()].find((item) => item.index === index)),
    find: async (ids) => ids.map((id) => items.get(id)),
    vectors: async () => new Float32Array(0),
    apply: async (changes) => {
      const unknown: string[] = [];
      for (const change of changes) applyOne(change, unknown);
      return { unknown };
    },
    close: async () => onClose('retrieval'),
  };
  const catalogue: Catalogue = {
    status: async () => {
      const states: Record<ItemState, number> = { searchable: 0, pending_features: 0, stored: 0, hidden: 0 };
      for (const { fields, idShare } of items.values()) states[stateOf(fields, idShare !== null, true)]++;
      return { size: items.size, states, findable: withVector().length, deadNodes: state.deadNodes };
    },
    countUnavailable: async () => ({ scheduled: 0, expired: 0 }),
    countWith: () => 0,
    sample: async () => [],
    random: async () => {
      const searchable = withVector();
      return searchable[Math.floor(Math.random() * searchable.length)];
    },
    all: { size: 0, items: () => [] },
  };
  const indexer = createIndexer({ model: { artifact, fuser }, stores, retrieval, log: { error: () => undefined }, onFailure });
  const generation: Generation = createGeneration({
    artifact,
    fuser,
    retrieval,
    catalogue,
    indexer: {
      indexed: indexer.indexed,
      caughtUp: indexer.caughtUp,
      load: indexer.load,
      follow: indexer.follow,
      get failure() {
        return indexer.failure;
      },
      close: async () => {
        await indexer.close();
        onClose('indexer');
      },
    },
    userTower: { provider: 'cpu', precision: 'float32' },
  });
  return {
    generation,
    items,
    searched,
    state,
    get fused() {
      return fused;
    },
  };
}

export type LoadedDoubles = ReturnType<typeof loadedGeneration>;
