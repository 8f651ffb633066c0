import { setImmediate as nextTurn } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import type { KnownAttribute } from '../../domain/attribute-registry.js';
import { findCarrier, keyText, type StandsAgainst } from '../attribute-carriers.js';
import { prepareAttributeList } from './attribute-rows.js';

/** Items looked at in one turn of the event loop: about a millisecond. */
const PAGE = 1000;

export interface AttributeReads {
  list(): KnownAttribute[];
  /**
   * The first item that carries the attribute with such a value; null: none does. Reads all items, in pages between other work, so
   * items that are written meanwhile may be missed. @throws the reason of the signal
   */
  carrierOf(name: string, standsAgainst: StandsAgainst, signal: AbortSignal): Promise<string | null>;
}

export function prepareAttributeReads(database: Database.Database): AttributeReads {
  const page = database
    .prepare<[string, string, number], [string, string | null]>(
      'SELECT item_id, CASE WHEN instr(attributes, ?) > 0 THEN attributes END FROM items WHERE item_id > ? ORDER BY item_id LIMIT ?',
    )
    .raw();
  return {
    list: prepareAttributeList(database),
    carrierOf: async (name, standsAgainst, signal) => {
      for (let after = ''; ; await nextTurn()) {
        signal.throwIfAborted();
        const rows = page.all(keyText(name), after, PAGE);
        const suspects = rows.filter((row): row is [string, string] => row[1] !== null);
        const carrier = findCarrier(suspects, name, standsAgainst);
        if (carrier !== null || rows.length < PAGE) return carrier;
        after = rows.at(-1)?.[0] ?? after;
      }
    },
  };
}
