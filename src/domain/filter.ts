import type { FieldError } from '../errors.js';
import { timeOf } from '../time.js';
import { attributeName, MAX_ATTRIBUTE_NAME, unknownAttribute, type AttributeNames, type AttributeType } from './attributes.js';
import { UNKNOWN_TIME, type Item } from './item.js';

/** Fields that every item has, beside its attributes. */
export const BUILT_IN_FIELDS = ['item_id', 'author_id', 'created_at', 'available_from', 'expires_at'] as const;
export type BuiltInField = (typeof BUILT_IN_FIELDS)[number];

/** What a condition reads: a field that every item has, or an attribute. */
export type FilterField = { readonly builtIn: BuiltInField } | { readonly attribute: string };

export type FilterValue = string | number | boolean;

/** A filter as data, parsed and checked. Each engine compiles it into its own fastest form. */
export type Filter =
  | { readonly all: readonly Filter[] }
  | { readonly any: readonly Filter[] }
  | { readonly not: Filter }
  | { readonly field: FilterField; readonly exists: boolean }
  /** The value, or an entry of a list, is one of these, or one of these instants in milliseconds, however the time is written. */
  | { readonly field: FilterField; readonly in: readonly FilterValue[]; readonly instants: readonly number[] }
  | { readonly field: FilterField; readonly compare: Comparison; readonly as: 'number' | 'time'; readonly limit: number };

export type Comparison = 'gte' | 'gt' | 'lte' | 'lt';

/** A caller's filter. */
export interface ParsedFilter {
  /** The filter's JSON: equal filters have equal keys. */
  key: string;
  filter: Filter;
}

const MAX_DEPTH = 8;
const MAX_CONDITIONS = 100;
const MAX_VALUES = 1000;
/** Characters of `attributes.` and the longest attribute name. */
const MAX_FIELD = 'attributes.'.length + MAX_ATTRIBUTE_NAME;
/** Errors that are reported at once. */
const MAX_ERRORS = 20;
const OPERATORS = ['eq', 'in', 'gte', 'gt', 'lte', 'lt', 'exists'] as const;
type Operator = (typeof OPERATORS)[number];
const GROUPS = ['all', 'any', 'not'] as const;

const TEXT: ReadonlySet<AttributeType> = new Set(['string']);
const TIME: ReadonlySet<AttributeType> = new Set(['time']);
const BUILT_IN_TYPES: Record<BuiltInField, ReadonlySet<AttributeType>> = {
  item_id: TEXT,
  author_id: TEXT,
  created_at: TIME,
  available_from: TIME,
  expires_at: TIME,
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isScalar = (value: unknown): value is FilterValue =>
  typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));
const isBuiltIn = (name: string): name is BuiltInField => (BUILT_IN_FIELDS as readonly string[]).includes(name);

/** Stands in for a refused part. A filter with errors is never used. */
const REFUSED: Filter = { any: [] };

/**
 * Parses `{"all": […]}`, `{"any": […]}`, `{"not": …}` and `{"field": "topic", "eq": …}`; several operators in one
 * condition must all hold. `attributes.NAME` and `NAME` name the same attribute. On a list, `eq` and `in` look for a member.
 * Times are compared as instants, however they are written.
 * @returns errors with pointers below `pointer` when the value is not a filter, or names an attribute that is not known, or a type that it does not have
 */
export function parseFilter(value: unknown, pointer: string, attributes: AttributeNames): ParsedFilter | FieldError[] {
  const parser = createParser(attributes);
  const filter = parser.parse(value, pointer, 0);
  return parser.errors.length > 0 ? parser.errors : { key: JSON.stringify(value), filter };
}

interface Parser {
  readonly errors: FieldError[];
  parse(part: unknown, at: string, depth: number): Filter;
}

/** Notes an error. @returns a filter that stands in for the refused part */
type Refuse = (pointer: string, detail: string) => Filter;

function createParser(attributes: AttributeNames): Parser {
  const errors: FieldError[] = [];
  let conditions = 0;
  const refuse: Refuse = (pointer, detail) => {
    if (errors.length < MAX_ERRORS) errors.push({ pointer, detail });
    return REFUSED;
  };
  const parse = (part: unknown, at: string, depth: number): Filter => {
    if (depth > MAX_DEPTH) return refuse(at, `is nested deeper than ${MAX_DEPTH}`);
    if (!isObject(part)) return refuse(at, 'must be an object');
    const keys = Object.keys(part);
    const named = GROUPS.find((name) => name in part);
    if (named === undefined) {
      if (++conditions > MAX_CONDITIONS) return refuse(at, `is condition number ${conditions}; at most ${MAX_CONDITIONS} are allowed`);
      return parseCondition(part, at, attributes, refuse);
    }
    if (keys.length > 1) return refuse(at, `${named} must stand alone, found also ${keys.filter((key) => key !== named).join(', ')}`);
    if (named === 'not') return { not: parse(part.not, `${at}/not`, depth + 1) };
    const parts = parseGroup(part[named], `${at}/${named}`, depth);
    return named === 'all' ? { all: parts } : { any: parts };
  };
  const parseGroup = (parts: unknown, at: string, depth: number): Filter[] => {
    if (Array.isArray(parts) && parts.length > 0) return parts.map((part, index) => parse(part, `${at}/${index}`, depth + 1));
    return [refuse(at, 'must be a list with at least one filter')];
  };
  return { errors, parse };
}

/** The schema of items counts characters as code points, too. */
const isFieldName = (name: string): boolean => name.length <= 2 * MAX_FIELD && [...name].length <= MAX_FIELD;

/** One field with its operators. */
function parseCondition(part: Record<string, unknown>, at: string, attributes: AttributeNames, refuse: Refuse): Filter {
  const { field: name, ...rest } = part;
  if (typeof name !== 'string' || !isFieldName(name)) return refuse(`${at}/field`, 'is required: the name of an attribute or field');
  const unknown = Object.keys(rest).find((key) => !OPERATORS.includes(key as Operator));
  if (unknown !== undefined) return refuse(`${at}/${unknown}`, `is not an operator; known are ${OPERATORS.join(', ')}`);
  const operators = Object.entries(rest) as [Operator, unknown][];
  if (operators.length === 0) return refuse(at, `needs one of ${OPERATORS.join(', ')}`);
  const field: FilterField = isBuiltIn(name) ? { builtIn: name } : { attribute: attributeName(name) };
  const types = 'builtIn' in field ? BUILT_IN_TYPES[field.builtIn] : attributes.typesOf(field.attribute);
  if (types === null) return refuse(`${at}/field`, unknownAttribute(attributeName(name), attributes));
  const parts = operators.map(([operator, operand]) => parseOperation({ field, types }, operator, operand, `${at}/${operator}`, refuse));
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : { all: parts };
}

/** A field with the types that its values have. */
interface TypedField {
  readonly field: FilterField;
  readonly types: ReadonlySet<AttributeType>;
}

function parseOperation(typed: TypedField, operator: Operator, operand: unknown, at: string, refuse: Refuse): Filter {
  switch (operator) {
    case 'exists':
      return typeof operand === 'boolean' ? { field: typed.field, exists: operand } : refuse(at, 'must be true or false');
    case 'eq':
      return parseMembers(typed, [operand], () => at, refuse);
    case 'in':
      if (!Array.isArray(operand) || operand.length === 0 || operand.length > MAX_VALUES)
        return refuse(at, `must be a list of 1 to ${MAX_VALUES} values`);
      return parseMembers(typed, operand, (index) => `${at}/${index}`, refuse);
    default:
      return parseComparison(typed, operator, operand, at, refuse);
  }
}

function parseMembers({ field, types }: TypedField, values: readonly unknown[], at: (index: number) => string, refuse: Refuse): Filter {
  const wanted: FilterValue[] = [];
  const instants: number[] = [];
  const isTime = types.has('time') && types.size === 1; // else the values may be texts that are no times
  values.forEach((value, index) => {
    if (!isScalar(value)) refuse(at(index), 'must be a string, a number or a boolean');
    else if (isTime) {
      const time = typeof value === 'string' ? timeOf(value) : null;
      if (time === null) refuse(at(index), 'must be a time in RFC 3339');
      else instants.push(time);
    } else if (!types.has(typeof value as AttributeType) && !(typeof value === 'string' && types.has('strings')))
      refuse(at(index), `is a ${typeof value}, the attribute holds ${[...types].join(' or ')}`);
    else {
      wanted.push(value);
      const instant = typeof value === 'string' ? timeOf(value) : null;
      if (instant !== null) instants.push(instant);
    }
  });
  return { field, in: wanted, instants };
}

function parseComparison({ field, types }: TypedField, compare: Comparison, operand: unknown, at: string, refuse: Refuse): Filter {
  const as = typeof operand === 'string' ? 'time' : 'number';
  const limit = typeof operand === 'string' ? timeOf(operand) : operand;
  if (typeof limit !== 'number' || !Number.isFinite(limit)) return refuse(at, 'must be a number, or a time in RFC 3339');
  if (!types.has(as)) return refuse(at, `compares with a ${as}, the attribute holds ${[...types].join(' or ')}`);
  return { field, compare, as, limit };
}

/** Whether one item passes the filter. */
export type Matcher = (item: Pick<Item, 'fields' | 'created'>) => boolean;
type Read = (item: Pick<Item, 'fields' | 'created'>) => unknown;

const READ_BUILT_IN: Record<BuiltInField, Read> = {
  item_id: ({ fields }) => fields.item_id,
  author_id: ({ fields }) => fields.author_id ?? undefined,
  created_at: ({ created }) => (created === UNKNOWN_TIME ? undefined : created),
  available_from: ({ fields }) => fields.available_from ?? undefined,
  expires_at: ({ fields }) => fields.expires_at ?? undefined,
};

function readerOf(field: FilterField): Read {
  if ('builtIn' in field) return READ_BUILT_IN[field.builtIn];
  const { attribute } = field;
  return ({ fields }) => (Object.hasOwn(fields.attributes, attribute) ? fields.attributes[attribute] : undefined);
}

/** Milliseconds since 1970; NaN when the value is not a time. A built-in time is milliseconds already; a number in an attribute is never a time. */
function instantOf(value: unknown, field: FilterField): number {
  if ('builtIn' in field) return typeof value === 'number' ? value : NaN;
  return typeof value === 'string' ? (timeOf(value) ?? NaN) : NaN;
}

/** Compiles the filter into a function, for items in memory. */
export function matcherOf(filter: Filter): Matcher {
  if ('all' in filter) {
    const parts = filter.all.map(matcherOf);
    return (item) => parts.every((matches) => matches(item));
  }
  if ('any' in filter) {
    const parts = filter.any.map(matcherOf);
    return (item) => parts.some((matches) => matches(item));
  }
  if ('not' in filter) {
    const matches = matcherOf(filter.not);
    return (item) => !matches(item);
  }
  const read = readerOf(filter.field);
  if ('exists' in filter) {
    const { exists } = filter;
    return (item) => (read(item) !== undefined) === exists;
  }
  return 'in' in filter ? memberMatcher(filter, read) : comparisonMatcher(filter, read);
}

function memberMatcher({ field, ...filter }: Extract<Filter, { in: unknown }>, read: Read): Matcher {
  const wanted = new Set<unknown>(filter.in);
  const instants = new Set(filter.instants);
  const holds: Matcher = (item) => {
    const value = read(item);
    return Array.isArray(value) ? value.some((entry) => wanted.has(entry)) : wanted.has(value);
  };
  return instants.size === 0 ? holds : (item) => holds(item) || instants.has(instantOf(read(item), field));
}

function comparisonMatcher({ field, compare, as, limit }: Extract<Filter, { compare: unknown }>, read: Read): Matcher {
  const valueOf = (item: Parameters<Read>[0]): number => {
    const value = read(item);
    if (as === 'time') return instantOf(value, field);
    return typeof value === 'number' ? value : NaN;
  };
  switch (compare) {
    case 'gte':
      return (item) => valueOf(item) >= limit;
    case 'gt':
      return (item) => valueOf(item) > limit;
    case 'lte':
      return (item) => valueOf(item) <= limit;
    case 'lt':
      return (item) => valueOf(item) < limit;
  }
}
