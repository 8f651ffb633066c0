import { isServable, type CatalogueItem } from '../retrieval/embedded/catalogue.js';
import { compileFilter, type Filter } from '../domain/filter.js';
import { attributeName, type AttributeType } from '../domain/attributes.js';
import { invalidRequest, type FieldError } from '../errors.js';
import { hashOf } from './cursors.js';
import type { Compiled, RecommendContext, RecommendRequest } from './request.js';

const ANY_TYPE: ReadonlySet<AttributeType> = new Set(['string', 'number', 'boolean', 'list', 'time']);

/** Characters of all filters of a request as JSON: bitmaps are found by them, and they are kept with the answer. */
const MAX_FILTER_TEXT = 65_536;

/** What an item must pass to be in the answer at all. */
export interface Limits {
  /** Rows of what the user has met. */
  met: Pick<ReadonlyMap<number, unknown>, 'has' | 'size'>;
  /** Whether all items of the history are among those that are met or withheld. */
  withholdsHistory: boolean;
  /** Excluded, in the history of the request or an example. */
  withheld: ReadonlySet<string>;
  /** Hashes of what earlier pages have shown. */
  served: ReadonlySet<number>;
  filter: Filter | null;
}

export const isAllowed = (item: CatalogueItem, { met, withheld, served, filter }: Omit<Limits, 'withholdsHistory'>, now: number): boolean =>
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
  const { filter, boosts, caps, fallbackMix } = request;
  if (filter === null && boosts.length === 0 && caps.length === 0 && fallbackMix === null) return { filter: null, boosts: [] };
  const errors: FieldError[] = [];
  // while the catalogue loads nobody knows yet which attributes there are
  const typesOf = (name: string): ReadonlySet<AttributeType> | null => (isReady() ? generation.catalogue.attributes.of(name) : ANY_TYPE);
  const requireKnown = (field: string, pointer: string): void => {
    if (field !== 'author_id' && typesOf(attributeName(field)) === null)
      errors.push({ pointer, detail: `no item has the attribute ${JSON.stringify(field)}` });
  };
  caps.forEach(({ field }, index) => requireKnown(field, `/caps/${index}/field`));
  if (fallbackMix !== null) requireKnown(fallbackMix, '/fallback_mix_by');
  let text = 0;
  const compile = (value: unknown, pointer: string): Filter | null => {
    const compiled = compileFilter(value, pointer, typesOf);
    if (Array.isArray(compiled)) {
      errors.push(...compiled);
      return null;
    }
    text += compiled.key.length;
    if (text > MAX_FILTER_TEXT)
      errors.push({ pointer, detail: `makes ${text} characters of filters; at most ${MAX_FILTER_TEXT} are allowed in one request` });
    return compiled;
  };
  const own = filter === null ? null : compile(filter, '/filter');
  const gains = boosts.flatMap((boost, index) => {
    const compiled = compile(boost.filter, `/boosts/${index}/filter`);
    return compiled === null ? [] : [{ test: compiled.test, gain: Math.log(boost.factor), name: `boost:${index}` }];
  });
  if (errors.length > 0) throw invalidRequest(errors);
  return { filter: own, boosts: gains };
}
