import type { UserEvent } from '../../../src/domain/event.js';
import type { HiddenStates, ItemFields } from '../../../src/domain/item.js';
import type { ItemWrite } from '../../../src/store/items.js';
import type { Stores } from '../../../src/store/stores.js';
import { conformance, type Behaves, type Engine, type Members } from './suite.js';

export type StoresEngine = Engine<Stores>;
type Part = Exclude<keyof Stores, 'close'>;

/** The suite of one part of the stores. */
export const conformanceOf =
  <Name extends Part>(name: Name, members: Members<Stores[Name]>, tests: (behaves: Behaves<Stores>) => void) =>
  (engine: StoresEngine): void =>
    conformance<Stores, Stores[Name]>(engine, {
      contract: name,
      members,
      partOf: (stores) => stores[name],
      withPart: (stores, part) => ({ ...stores, [name]: part }),
      tests,
    });

export const fields = (id: string, change: Partial<ItemFields> = {}): ItemFields => ({
  item_id: id,
  title: id,
  author_id: null,
  attributes: { topic: 'x' },
  available_from: null,
  expires_at: null,
  hidden: false,
  ...change,
});

export const item = (id: string, change: Partial<ItemWrite> = {}): ItemWrite => ({ item: fields(id), hiddenStates: null, vectors: [], ...change });

export const states = (...bytes: number[]): HiddenStates => ({ dtype: 'float16', shape: [1, bytes.length / 2], data: new Uint8Array(bytes) });

export const vector = (...values: number[]): Float32Array => new Float32Array(values);

export const event = (id: string, user: string, itemId: string, at: number, positive = true): UserEvent => ({
  event_id: id,
  user_id: user,
  item_id: itemId,
  type: positive ? 'view' : 'skip',
  at,
  watch_ms: null,
  duration_ms: null,
  watch_portion: null,
  recommendation_id: null,
  positive,
});

export const impression = (id: string, user: string, itemId: string, at: number): UserEvent => ({
  ...event(id, user, itemId, at, false),
  type: 'impression',
});

/** Sorts by UTF-8 bytes otherwise than by the UTF-16 units that JavaScript compares. */
export const UNUSUAL_IDS = ['a', 'é', '\uFFFD', '\u{1F600}'] as const;
