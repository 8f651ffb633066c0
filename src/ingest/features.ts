import type { HiddenStates } from '../domain/item.js';
import type { ExpectedShape } from './item-input.js';

/** Hidden states of many items, in a file or in the folder of an extraction. */
export interface Features {
  /** The file and its version. */
  source: string;
  shape: ExpectedShape;
  count: number;
  /** [L, D] of one item; null: the file has no row for it, or a row of zeros. @throws InputError when a value is not finite or a norm is implausible */
  read(itemId: string): HiddenStates | null;
  close(): void;
}

/** A features file with the ids that it has rows for. */
export interface FeaturesFile extends Features {
  itemIds(): Iterable<string>;
}
