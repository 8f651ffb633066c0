import { invalidRequest, pointerTo, type FieldError } from '../errors.js';
import { isOfType, typeOfValue, type AttributeNames, type AttributeType } from './attributes.js';
import { nearestName } from './nearest-name.js';

/** Maximum number of attribute names of a catalogue. Names outlive the items that brought them, so they need a bound. */
export const MAX_ATTRIBUTE_NAMES = 10_000;

/** What is known of an attribute, whether an item carries it now or not. Times are milliseconds since 1970, UTC. */
export interface KnownAttribute {
  readonly name: string;
  /** Items with a value of another type are refused; null: not declared, values of every type are accepted. */
  readonly declared: AttributeType | null;
  /** The declared type; without one, every type that the values of items have had. */
  readonly types: readonly AttributeType[];
  readonly declared_at: number | null;
  /** When an item carried it first; null: no item has. */
  readonly first_seen_at: number | null;
}

/**
 * What the attributes of a written item change in the registry.
 * @returns new and changed entries; empty for most items
 * @throws ReelfuseError 422 `invalid_request` when a value has another type than the declared one, or there would be too many names
 */
export function admitAttributes(
  registry: ReadonlyMap<string, KnownAttribute>,
  attributes: Readonly<Record<string, unknown>>,
  now: number,
): readonly KnownAttribute[] {
  let changed: KnownAttribute[] | null = null;
  let errors: FieldError[] | null = null;
  let size = registry.size;
  for (const [name, value] of Object.entries(attributes)) {
    const type = typeOfValue(value);
    const known = registry.get(name);
    if (known !== undefined && known.first_seen_at !== null && known.types.includes(type)) continue;
    if (known?.declared != null) {
      if (!isOfType(type, known.declared))
        (errors ??= []).push({ pointer: pointerTo('attributes', name), detail: `is a ${type}, the attribute is declared as ${known.declared}` });
      else if (known.first_seen_at === null) (changed ??= []).push({ ...known, first_seen_at: now });
      continue;
    }
    if (known === undefined && ++size > MAX_ATTRIBUTE_NAMES) (errors ??= []).push({ pointer: pointerTo('attributes', name), detail: tooManyNames() });
    (changed ??= []).push({
      name,
      declared: null,
      types: [...(known?.types ?? []), type],
      declared_at: null,
      first_seen_at: known?.first_seen_at ?? now,
    });
  }
  if (errors !== null) throw invalidRequest(errors);
  return changed ?? NONE;
}

const NONE: readonly KnownAttribute[] = [];

const tooManyNames = (): string =>
  `is a new name, and the catalogue knows ${MAX_ATTRIBUTE_NAMES} attributes already: the maximum. Delete one that no item carries`;

/**
 * The entry after a declaration; the caller has checked that no item carries another type.
 * @throws ReelfuseError 422 `invalid_request` when there would be too many names
 */
export function declareAttribute(registry: ReadonlyMap<string, KnownAttribute>, name: string, type: AttributeType, now: number): KnownAttribute {
  const known = registry.get(name);
  if (known?.declared === type) return known;
  if (known === undefined && registry.size >= MAX_ATTRIBUTE_NAMES) throw invalidRequest([{ pointer: '/path/name', detail: tooManyNames() }]);
  return { name, declared: type, types: [type], declared_at: now, first_seen_at: known?.first_seen_at ?? null };
}

/** The registry in the memory of a serving process. */
export interface AttributeRegistry extends AttributeNames {
  get(name: string): KnownAttribute | null;
  /** In the order of their UTF-8 bytes. */
  all(): KnownAttribute[];
  /** Takes a change of the store; null: the attribute was deleted. */
  apply(name: string, known: KnownAttribute | null): void;
}

export function createAttributeRegistry(initial: Iterable<KnownAttribute> = []): AttributeRegistry {
  const entries = new Map<string, { known: KnownAttribute; types: ReadonlySet<AttributeType> }>();
  const apply = (name: string, known: KnownAttribute | null): void => {
    if (known === null) entries.delete(name);
    else entries.set(name, { known, types: comparableTypes(known) });
  };
  for (const known of initial) apply(known.name, known);
  return {
    typesOf: (name) => entries.get(name)?.types ?? null,
    nearest: (name) => nearestName(name, entries.keys()),
    get: (name) => entries.get(name)?.known ?? null,
    all: () => [...entries.values()].map(({ known }) => known).sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name))),
    apply,
  };
}

/** Times of an attribute that is not declared may be compared as texts, too. */
const comparableTypes = ({ declared, types }: KnownAttribute): ReadonlySet<AttributeType> =>
  new Set(declared === null && types.includes('time') ? [...types, 'string'] : types);
