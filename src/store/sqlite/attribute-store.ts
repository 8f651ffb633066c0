import type Database from 'better-sqlite3';
import type { KnownAttribute } from '../../domain/attribute-registry.js';
import { attributeInUse } from '../../errors.js';
import { hasOnly, notOfType, withOtherType } from '../attribute-carriers.js';
import type { AttributeStore } from '../attributes.js';
import type { ChangeFeed } from '../changes.js';
import { prepareAttributeReads } from './attribute-reads.js';
import type { DoneWrite, FieldsWritten, PutWritten } from './write-operations.js';
import type { WriteQueue } from './write-queue.js';

export interface SqliteAttributes {
  store: AttributeStore;
  /** Takes committed writes and calls the listeners. */
  note(done: readonly DoneWrite[]): void;
}

export interface SqliteAttributesSetup {
  /** For reads. */
  database: Database.Database;
  write: WriteQueue['write'];
  feed: Pick<ChangeFeed, 'itemSequence'>;
  /** Its abort ends scans that are under way. */
  closing: AbortSignal;
}

/**
 * Before a change that no item may stand against, this thread reads all items in pages. The writer checks those that have changed since
 * then, in the transaction of the change, so that it never reads all items.
 */
export function createAttributeStore({ database, write, feed, closing }: SqliteAttributesSetup): SqliteAttributes {
  const reads = prepareAttributeReads(database);
  const listeners: ((name: string, known: KnownAttribute | null) => void)[] = [];
  const find = (name: string): KnownAttribute | undefined => reads.list().find((known) => known.name === name);
  return {
    store: {
      list: async () => reads.list(),
      declare: async (name, type) => {
        const checkedUpTo = feed.itemSequence;
        if (!hasOnly(find(name), type)) {
          const carrier = await reads.carrierOf(name, notOfType(type), closing);
          if (carrier !== null) throw attributeInUse(name, carrier, withOtherType(type));
        }
        return write<KnownAttribute>({ type: 'declareAttribute', name, attributeType: type, checkedUpTo });
      },
      remove: async (name) => {
        const checkedUpTo = feed.itemSequence;
        const known = find(name);
        if (known === undefined) return null;
        const carrier = known.first_seen_at === null ? null : await reads.carrierOf(name, () => true, closing);
        if (carrier !== null) throw attributeInUse(name, carrier);
        return write<KnownAttribute | null>({ type: 'removeAttribute', name, checkedUpTo });
      },
      onChange: (listener) => void listeners.push(listener),
    },
    note: (done) => {
      for (const write of done) for (const [name, known] of changesOf(write)) for (const listener of listeners) listener(name, known);
    },
  };
}

function changesOf({ operation, value }: DoneWrite): [name: string, known: KnownAttribute | null][] {
  if (value === null) return NONE;
  switch (operation.type) {
    case 'putItem':
    case 'updateItem':
      return (value as PutWritten | FieldsWritten).attributes.map((known) => [known.name, known]); // of these operations
    case 'declareAttribute':
      return [[operation.name, value as KnownAttribute]];
    case 'removeAttribute':
      return [[operation.name, null]];
    default:
      return NONE;
  }
}

const NONE: [] = [];
