import type { AttributeNames } from '../domain/attributes.js';
import type { ItemInterner } from '../domain/item-interner.js';
import type { Catalogue } from '../retrieval/catalogue.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import type { Histories } from '../signals/histories.js';
import type { Popularity } from '../signals/popularity.js';
import type { OwnTurn } from '../turnstile.js';
import type { ChangeFeed } from '../store/changes.js';
import type { EventStore } from '../store/events.js';
import type { RecommendAnswer, ServingModel } from './answer.js';
import type { Cursors } from './cursors.js';

/** What the stages of one answer use, all of one generation. */
export interface RecommendContext {
  model: ServingModel;
  retrieval: Pick<Retrieval, 'search' | 'hydrate' | 'find' | 'vectors'>;
  catalogue: Pick<Catalogue, 'all'>;
  /** Every attribute that an item has had or that is declared. */
  attributes: AttributeNames;
  /** [L], share of each layer in an item vector, see layer-shares.ts; null: the item has no hidden states that fit the model. */
  layerShares: (itemId: string) => Promise<number[] | null>;
  changes: Pick<ChangeFeed, 'sequence' | 'reached'>;
  events: Pick<EventStore, 'impressions'>;
  popularity: Pick<Popularity, 'ranking' | 'byValue' | 'best' | 'weight' | 'shown'>;
  histories: Histories;
  interner: Pick<ItemInterner, 'idOf'>;
  cursors: Cursors;
  /** Wall time, milliseconds since 1970. */
  now: () => number;
  /** The same without the jumps of the wall time while this process runs: cursors expire by it. */
  steadyNow: () => number;
  /** A new item is explored while it has fewer than `budget` impressions and is younger than `maxAgeMs`. */
  exploration: { budget: number; maxAgeMs: number };
  /** False until the catalogue is loaded: every answer is then a fallback. */
  isReady: () => boolean;
  /** What takes long awaits it now and then. */
  ownTurn: OwnTurn;
  /** Told each answer, for the metrics. */
  count: (answer: RecommendAnswer) => void;
}
