import { isServable, type CatalogueItem } from '../catalog/catalogue.js';
import { compileFilter, type Filter } from '../catalog/filter.js';
import type { AttributeType } from '../catalog/attribute-types.js';
import { invalidRequest, type FieldError } from '../errors.js';
import { hashOf } from './page.js';
import type { Compiled, RecommendContext, RecommendRequest } from './request.js';

const ANY_TYPE: ReadonlySet<AttributeType> = new Set(['string', 'number', 'boolean', 'list', 'time']);

/** What an item must pass to be in the answer at all. */
export interface Limits {
  /** Rows of what the user has met. */
  met: Pick<ReadonlyMap<number, unknown>, 'has' | 'size'>;
  /** Excluded, in the history of the request or an example. */
  withheld: ReadonlySet<string>;
  /** Hashes of what earlier pages have shown. */
  served: ReadonlySet<number>;
  filter: Filter | null;
}

export const isAllowed = (item: CatalogueItem, { met, withheld, served, filter }: Limits, now: number): boolean =>
  isServable(item, now) &&
  !met.has(item.row) &&
  (withheld.size === 0 || !withheld.has(item.fields.item_id)) &&
  (served.size === 0 || !served.has(hashOf(item.fields.item_id))) &&
  (filter === null || filter.test(item));

/**
 * Compiles filter and boosts against the attributes that items really have.
 * @throws ReelfuseError 422 `invalid_request` with pointers
 */
export function compileRules({ generation, isReady }: Pick<RecommendContext, 'generation' | 'isReady'>, request: RecommendRequest): Compiled {
  const { filter, boosts, caps } = request;
  if (filter === null && boosts.length === 0 && caps.length === 0) return { filter: null, boosts: [] };
  const errors: FieldError[] = [];
  // while the catalogue loads nobody knows yet which attributes there are
  const typesOf = (name: string): ReadonlySet<AttributeType> | null => (isReady() ? generation.catalogue.attributes.of(name) : ANY_TYPE);
  caps.forEach(({ field }, index) => {
    if (field !== 'author_id' && typesOf(field.replace(/^attributes\./, '')) === null)
      errors.push({ pointer: `/caps/${index}/field`, detail: `no item has the attribute ${JSON.stringify(field)}` });
  });
  const compile = (value: unknown, pointer: string): Filter | null => {
    const compiled = compileFilter(value, pointer, typesOf);
    if (!Array.isArray(compiled)) return compiled;
    errors.push(...compiled);
    return null;
  };
  const own = filter === null ? null : compile(filter, '/filter');
  const gains = boosts.flatMap((boost, index) => {
    const compiled = compile(boost.filter, `/boosts/${index}/filter`);
    return compiled === null ? [] : [{ test: compiled.test, gain: Math.log(boost.factor), name: `boost:${index}` }];
  });
  if (errors.length > 0) throw invalidRequest(errors);
  return { filter: own, boosts: gains };
}
