import type { HiddenStates } from '../domain/item.js';
import type { ExpectedShape } from './item-input.js';

/** Hidden states of many items, in a file or in the folder of an extraction. */
export interface Features {
  /** The file and its version. */
  source: string;
  shape: ExpectedShape;
  count: number;
  /** Null: the file has no row for the item, or one of zeros, which means the same. @throws InputError when its values cannot be right */
  read(itemId: string): HiddenStates | null;
  close(): void;
}

/** A features file with the ids that it has rows for. */
export interface FeaturesFile extends Features {
  itemIds(): Iterable<string>;
}
