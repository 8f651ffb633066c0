import type { FieldError } from '../errors.js';
import { timeOf } from '../time.js';
import { attributeName, type AttributeType } from './attributes.js';
import type { CatalogueItem } from '../retrieval/embedded/catalogue.js';

/** A filter that is ready to be asked. */
export interface Filter {
  /** The filter's JSON. */
  key: string;
  test: (item: CatalogueItem) => boolean;
}

type Test = Filter['test'];
type Read = (item: CatalogueItem) => unknown;

const MAX_DEPTH = 8;
const MAX_CONDITIONS = 100;
const MAX_VALUES = 1000;
/** `attributes.` and the longest name of an attribute. */
const MAX_FIELD = 75;
/** Reasons that are told at once. */
const MAX_ERRORS = 20;
const OPERATORS = ['eq', 'in', 'gte', 'gt', 'lte', 'lt', 'exists'] as const;
type Operator = (typeof OPERATORS)[number];
const GROUPS = ['all', 'any', 'not'] as const;

const TEXT: ReadonlySet<AttributeType> = new Set(['string']);
const TIME: ReadonlySet<AttributeType> = new Set(['time']);

/** Fields that every item has; times are milliseconds. */
const BUILT_IN: Record<string, { types: ReadonlySet<AttributeType>; read: Read }> = {
  item_id: { types: TEXT, read: ({ fields }) => fields.item_id },
  author_id: { types: TEXT, read: ({ fields }) => fields.author_id ?? undefined },
  created_at: { types: TIME, read: ({ created }) => created },
  available_from: { types: TIME, read: ({ fields }) => fields.available_from ?? undefined },
  expires_at: { types: TIME, read: ({ fields }) => fields.expires_at ?? undefined },
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));
/** Built-in times are milliseconds already; an attribute's number is never a time. */
const builtInTime = (value: unknown): number => (typeof value === 'number' ? value : NaN);
const attributeTime = (value: unknown): number => (typeof value === 'string' ? (timeOf(value) ?? NaN) : NaN);

/**
 * Compiles `{"all": […]}`, `{"any": […]}`, `{"not": …}` and `{"field": "topic", "eq": …}`; several operators in one
 * condition must all hold. `attributes.NAME` and `NAME` name the same attribute. On a list, `eq` and `in` look for a member.
 * Times are compared as instants, however they are written.
 * @param typesOf the types that an attribute has in the catalogue; null: no item has it
 * @returns the reasons, with pointers below `pointer`, when it is not a filter or asks for what no item can have
 */
export function compileFilter(value: unknown, pointer: string, typesOf: (name: string) => ReadonlySet<AttributeType> | null): Filter | FieldError[] {
  const errors: FieldError[] = [];
  let conditions = 0;
  const refuse = (at: string, detail: string): Test => {
    if (errors.length < MAX_ERRORS) errors.push({ pointer: at, detail });
    return () => false;
  };

  const group = (parts: unknown, at: string, depth: number): Test[] => {
    if (Array.isArray(parts) && parts.length > 0) return parts.map((part, index) => compile(part, `${at}/${index}`, depth + 1));
    return [refuse(at, 'must be a list with at least one filter')];
  };

  const compile = (part: unknown, at: string, depth: number): Test => {
    if (depth > MAX_DEPTH) return refuse(at, `is nested deeper than ${MAX_DEPTH}`);
    if (!isObject(part)) return refuse(at, 'must be an object');
    const keys = Object.keys(part);
    const named = GROUPS.find((name) => name in part);
    if (named === undefined) return condition(part, at);
    if (keys.length > 1) return refuse(at, `${named} must stand alone, found also ${keys.filter((key) => key !== named).join(', ')}`);
    if (named === 'not') {
      const test = compile(part.not, `${at}/not`, depth + 1);
      return (item) => !test(item);
    }
    const tests = group(part[named], `${at}/${named}`, depth);
    return named === 'all' ? (item) => tests.every((test) => test(item)) : (item) => tests.some((test) => test(item));
  };

  const condition = (part: Record<string, unknown>, at: string): Test => {
    if (++conditions > MAX_CONDITIONS) return refuse(at, `is condition number ${conditions}; at most ${MAX_CONDITIONS} are allowed`);
    const { field, ...rest } = part;
    if (typeof field !== 'string' || field.length > MAX_FIELD) return refuse(`${at}/field`, 'is required: the name of an attribute or field');
    const unknown = Object.keys(rest).find((key) => !OPERATORS.includes(key as Operator));
    if (unknown !== undefined) return refuse(`${at}/${unknown}`, `is not an operator; known are ${OPERATORS.join(', ')}`);
    const operators = Object.entries(rest) as [Operator, unknown][];
    if (operators.length === 0) return refuse(at, `needs one of ${OPERATORS.join(', ')}`);
    const builtIn = BUILT_IN[field];
    const name = attributeName(field);
    const types = builtIn?.types ?? typesOf(name);
    if (types === null) return refuse(`${at}/field`, `no item has the attribute ${JSON.stringify(name)}`);
    const read: Read = builtIn?.read ?? (({ fields }) => (Object.hasOwn(fields.attributes, name) ? fields.attributes[name] : undefined));
    const tests = operators.map(([operator, operand]) => operation(operator, operand, read, types, `${at}/${operator}`));
    return tests.length === 1 && tests[0] !== undefined ? tests[0] : (item) => tests.every((test) => test(item));
  };

  const operation = (operator: Operator, operand: unknown, read: Read, types: ReadonlySet<AttributeType>, at: string): Test => {
    switch (operator) {
      case 'exists':
        if (typeof operand !== 'boolean') return refuse(at, 'must be true or false');
        return (item) => (read(item) !== undefined) === operand;
      case 'eq':
        return member([operand], read, types, at, '');
      case 'in':
        if (!Array.isArray(operand) || operand.length === 0 || operand.length > MAX_VALUES)
          return refuse(at, `must be a list of 1 to ${MAX_VALUES} values`);
        return member(operand, read, types, at, '/');
      default:
        return comparison(operator, operand, read, types, at);
    }
  };

  const member = (values: readonly unknown[], read: Read, types: ReadonlySet<AttributeType>, at: string, separator: string): Test => {
    const wanted = new Set<unknown>();
    const instants = new Set<number>();
    values.forEach((value, index) => {
      const where = separator === '' ? at : `${at}${separator}${index}`;
      if (!isScalar(value)) refuse(where, 'must be a string, a number or a boolean');
      else if (types === TIME) {
        const time = typeof value === 'string' ? timeOf(value) : null;
        if (time === null) refuse(where, 'must be a time in RFC 3339');
        else wanted.add(time);
      } else if (!types.has(typeof value as AttributeType) && !(typeof value === 'string' && types.has('list')))
        refuse(where, `is a ${typeof value}, the attribute holds ${[...types].join(' or ')}`);
      else {
        wanted.add(value);
        const instant = typeof value === 'string' ? timeOf(value) : null;
        if (instant !== null) instants.add(instant);
      }
    });
    const holds: Test = (item) => {
      const value = read(item);
      return Array.isArray(value) ? value.some((entry) => wanted.has(entry)) : wanted.has(value);
    };
    return instants.size === 0 ? holds : (item) => holds(item) || instants.has(attributeTime(read(item)));
  };

  const comparison = (operator: 'gte' | 'gt' | 'lte' | 'lt', operand: unknown, read: Read, types: ReadonlySet<AttributeType>, at: string): Test => {
    const asTime = typeof operand === 'string';
    const limit = asTime ? timeOf(operand) : operand;
    if (typeof limit !== 'number' || !Number.isFinite(limit)) return refuse(at, 'must be a number, or a time in RFC 3339');
    if (!types.has(asTime ? 'time' : 'number'))
      return refuse(at, `compares with a ${asTime ? 'time' : 'number'}, the attribute holds ${[...types].join(' or ')}`);
    const time = types === TIME ? builtInTime : attributeTime;
    const valueOf: (item: CatalogueItem) => number = asTime
      ? (item) => time(read(item))
      : (item) => {
          const value = read(item);
          return typeof value === 'number' ? value : NaN;
        };
    switch (operator) {
      case 'gte':
        return (item) => valueOf(item) >= limit;
      case 'gt':
        return (item) => valueOf(item) > limit;
      case 'lte':
        return (item) => valueOf(item) <= limit;
      case 'lt':
        return (item) => valueOf(item) < limit;
    }
  };

  const test = compile(value, pointer, 0);
  return errors.length > 0 ? errors : { key: JSON.stringify(value), test };
}
