import { declareAttribute, type KnownAttribute } from '../../domain/attribute-registry.js';
import { attributeInUse } from '../../errors.js';
import { findCarrier, hasOnly, keyText, notOfType, withOtherType, type StandsAgainst } from '../attribute-carriers.js';
import type { AttributeStore } from '../attributes.js';
import { ATTRIBUTES, lockRegistry, putAttributes, readRegistry, toKnown } from './attribute-rows.js';
import { noteChanges, sequencesOf } from './changes-table.js';
import type { Database, Statements } from './database.js';

/** Items looked at in one statement. */
const PAGE = 1000;

export interface AttributeSetup {
  database: Pick<Database, 'rows' | 'transaction'>;
  /** Resolves when this server has applied the change. */
  settled: (sequence: number) => Promise<unknown>;
}

/** Declarations and deletions lock the registry, so that no server writes an item meanwhile. */
export function createAttributeStore({ database, settled }: AttributeSetup): Omit<AttributeStore, 'onChange'> {
  const change = async <Value>(
    name: string,
    work: (statements: Statements, registry: ReadonlyMap<string, KnownAttribute>) => Promise<Value | undefined>,
  ) => {
    const done = await database.transaction(async (statements) => {
      await lockRegistry(statements, 'alone');
      const registry = new Map((await readRegistry(statements, null)).map((known) => [known.name, known]));
      const value = await work(statements, registry);
      if (value === undefined) return { value: registry.get(name) ?? null, sequence: null };
      const { first: sequence } = await sequencesOf(statements);
      await noteChanges(statements, [{ sequence, kind: 'attribute', key: name }]);
      return { value, sequence };
    });
    if (done.sequence !== null) await settled(done.sequence);
    return done.value;
  };
  return {
    list: async () => (await database.rows<Parameters<typeof toKnown>[0]>(`${ATTRIBUTES} ORDER BY name`)).map(toKnown),
    declare: async (name, type) => {
      const declared = await change(name, async (statements, registry) => {
        const known = declareAttribute(registry, name, type, Date.now());
        if (known === registry.get(name)) return undefined;
        if (!hasOnly(registry.get(name), type)) {
          const carrier = await carrierOf(statements, name, notOfType(type));
          if (carrier !== null) throw attributeInUse(name, carrier, withOtherType(type));
        }
        await putAttributes(statements, [known]);
        return known;
      });
      return declared as KnownAttribute; // it is known now
    },
    remove: (name) =>
      change(name, async (statements, registry) => {
        const known = registry.get(name);
        if (known === undefined) return undefined;
        const carrier = known.first_seen_at === null ? null : await carrierOf(statements, name, () => true);
        if (carrier !== null) throw attributeInUse(name, carrier);
        await statements.query('DELETE FROM attributes WHERE name = $1', [name]);
        return known;
      }),
  };
}

/** The first item that carries the attribute with such a value; null: none does. */
async function carrierOf(statements: Statements, name: string, standsAgainst: StandsAgainst): Promise<string | null> {
  for (let after = ''; ;) {
    const { rows } = await statements.query<{ item_id: string; attributes: string }>(
      'SELECT item_id, attributes FROM items WHERE item_id > $1 AND strpos(attributes, $2) > 0 ORDER BY item_id LIMIT $3',
      [after, keyText(name), PAGE],
    );
    const carrier = findCarrier(
      rows.map((row) => [row.item_id, row.attributes]),
      name,
      standsAgainst,
    );
    if (carrier !== null || rows.length < PAGE) return carrier;
    after = rows.at(-1)?.item_id ?? after;
  }
}
