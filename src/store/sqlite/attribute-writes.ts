import type Database from 'better-sqlite3';
import { admitAttributes, declareAttribute, type KnownAttribute } from '../../domain/attribute-registry.js';
import type { AttributeType } from '../../domain/attributes.js';
import { attributeInUse } from '../../errors.js';
import { findCarrier, keyText, notOfType, withOtherType, type StandsAgainst, type Suspect } from '../attribute-carriers.js';
import { prepareAttributeList } from './attribute-rows.js';

/** The registry of attributes, in the memory of the writer and in its table. */
export interface AttributeWrites {
  /** Registers the attributes of an item that is written. @returns what has changed @throws ReelfuseError 422 `invalid_request` */
  admit(attributes: Readonly<Record<string, unknown>>): readonly KnownAttribute[];
  /** @param checkedUpTo items up to this sequence carry no other type @throws ReelfuseError 409 `attribute_in_use`, 422 `invalid_request` */
  declare(name: string, type: AttributeType, checkedUpTo: number): KnownAttribute;
  /** @param checkedUpTo items up to this sequence do not carry it @throws ReelfuseError 409 `attribute_in_use` */
  remove(name: string, checkedUpTo: number): KnownAttribute | null;
  /** Call it after the transaction. */
  committed(): void;
  /** Call it after a savepoint or the transaction was rolled back. */
  rolledBack(): void;
}

export function prepareAttributeWrites(database: Database.Database): AttributeWrites {
  const list = prepareAttributeList(database);
  const put = database.prepare(
    `INSERT OR REPLACE INTO attributes (name, declared_type, types, declared_at, first_seen_at)
     VALUES (@name, @declared, @types, @declared_at, @first_seen_at)`,
  );
  const drop = database.prepare('DELETE FROM attributes WHERE name = ?');
  const changedItems = database
    .prepare<[number, string], Suspect>('SELECT item_id, attributes FROM items WHERE sequence > ? AND instr(attributes, ?) > 0')
    .raw();
  const read = (): Map<string, KnownAttribute> => new Map(list().map((known) => [known.name, known]));
  let registry = read();
  let isChanged = false;

  const set = (known: KnownAttribute): void => {
    put.run({ ...known, types: JSON.stringify(known.types) });
    registry.set(known.name, known);
    isChanged = true;
  };
  const requireNone = (name: string, checkedUpTo: number, standsAgainst: StandsAgainst, what = ''): void => {
    const carrier = findCarrier(changedItems.iterate(checkedUpTo, keyText(name)), name, standsAgainst);
    if (carrier !== null) throw attributeInUse(name, carrier, what);
  };
  return {
    admit: (attributes) => {
      const changed = admitAttributes(registry, attributes, Date.now());
      for (const known of changed) set(known);
      return changed;
    },
    declare: (name, type, checkedUpTo) => {
      const known = declareAttribute(registry, name, type, Date.now());
      if (known === registry.get(name)) return known;
      requireNone(name, checkedUpTo, notOfType(type), withOtherType(type));
      set(known);
      return known;
    },
    remove: (name, checkedUpTo) => {
      const known = registry.get(name);
      if (known === undefined) return null;
      requireNone(name, checkedUpTo, () => true);
      drop.run(name);
      registry.delete(name);
      isChanged = true;
      return known;
    },
    committed: () => {
      isChanged = false;
    },
    rolledBack: () => {
      if (isChanged) registry = read();
    },
  };
}
