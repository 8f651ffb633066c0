import { attributeName, unknownAttribute, type AttributeNames } from '../domain/attributes.js';
import type { EligibilityRules } from '../domain/eligibility.js';
import { matcherOf, parseFilter, type Matcher, type ParsedFilter } from '../domain/filter.js';
import { invalidRequest, type FieldError } from '../errors.js';
import type { RecommendContext } from './context.js';
import type { RecommendRequest } from './request.js';

/** Unknown names of one request that get a suggestion. Each is compared with every known name. */
const MAX_SUGGESTIONS = 3;

/** Maximum length of all filters of a request as JSON. They are keys of bitmaps, and are kept with the answer. */
const MAX_FILTER_TEXT = 65_536;

/** The filters of a request, compiled. */
export interface ParsedRules {
  filter: EligibilityRules['filter'];
  boosts: readonly FilteredBoost[];
}

export interface FilteredBoost {
  matches: Matcher;
  /** Logarithm of the factor; added to the score. */
  gain: number;
  name: string;
}

const NO_RULES: ParsedRules = { filter: null, boosts: [] };

/**
 * Parses filter and boosts, and checks that each attribute is known with the used type. Whether an item carries it now does not matter.
 * @throws ReelfuseError 422 `invalid_request` with pointers
 */
export function parseRules(context: Pick<RecommendContext, 'attributes'>, request: RecommendRequest): ParsedRules {
  const { filter, boosts, caps, distinctBy, fallbackMix } = request;
  if (filter === null && boosts.length === 0 && caps.length === 0 && distinctBy === null && fallbackMix === null) return NO_RULES;
  const attributes = withFewSuggestions(context.attributes);
  const errors: FieldError[] = [];
  const requireKnown = (field: string, pointer: string): void => {
    const name = attributeName(field);
    if (field !== 'author_id' && attributes.typesOf(name) === null) errors.push({ pointer, detail: unknownAttribute(name, attributes) });
  };
  caps.forEach(({ field }, index) => requireKnown(field, `/caps/${index}/field`));
  if (distinctBy !== null) requireKnown(distinctBy, '/distinct_by');
  if (fallbackMix !== null) requireKnown(fallbackMix, '/fallback_mix_by');
  let text = 0;
  const parse = (value: unknown, pointer: string): ParsedFilter | null => {
    const parsed = parseFilter(value, pointer, attributes);
    if (Array.isArray(parsed)) {
      errors.push(...parsed);
      return null;
    }
    text += parsed.key.length;
    if (text > MAX_FILTER_TEXT)
      errors.push({ pointer, detail: `makes ${text} characters of filters; at most ${MAX_FILTER_TEXT} are allowed in one request` });
    return parsed;
  };
  const own = filter === null ? null : parse(filter, '/filter');
  const gains = boosts.flatMap((boost, index) => {
    const parsed = parse(boost.filter, `/boosts/${index}/filter`);
    return parsed === null ? [] : [{ matches: matcherOf(parsed.filter), gain: Math.log(boost.factor), name: `boost:${index}` }];
  });
  if (errors.length > 0) throw invalidRequest(errors);
  return { filter: own === null ? null : { ...own, matches: matcherOf(own.filter) }, boosts: gains };
}

function withFewSuggestions({ typesOf, nearest }: AttributeNames): AttributeNames {
  let left = MAX_SUGGESTIONS;
  return { typesOf, nearest: (name) => (left-- > 0 ? nearest(name) : null) };
}
