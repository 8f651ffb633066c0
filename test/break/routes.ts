import type { Random } from './trial.js';

/** The part of JSON Schema that the API description uses. */
export interface Schema {
  type?: string | string[];
  anyOf?: Schema[];
  if?: Schema;
  then?: Schema;
  else?: Schema;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minItems?: number;
  minLength?: number;
  minimum?: number;
  maximum?: number;
  format?: string;
}

interface Operation {
  operationId: string;
  requestBody?: { content: Record<string, { schema: Schema }> };
  parameters?: { name: string; in: string; required?: boolean; schema: Schema }[];
  responses: Record<string, unknown>;
}

export interface Description {
  paths: Record<string, Record<string, Operation>>;
}

export interface Route {
  name: string;
  method: string;
  path: string;
  parameters: NonNullable<Operation['parameters']>;
  /** Of the JSON body; null: the route takes none. */
  body: Schema | null;
  statuses: string[];
}

export const routesOf = ({ paths }: Description): Route[] =>
  Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      name: operation.operationId,
      method: method.toUpperCase(),
      path,
      parameters: operation.parameters ?? [],
      body: operation.requestBody?.content['application/json']?.schema ?? null,
      statuses: Object.keys(operation.responses),
    })),
  );

/** Values that the server knows, by the name of their field. */
const KNOWN: Record<string, readonly string[]> = {
  item_id: ['clip-0001', 'clip-0002', 'clip-0003', 'new-1', 'new-2'],
  user_id: ['cooking-fan', 'u1', 'u2'],
  history: ['clip-0001', 'clip-0005', 'clip-0009'],
  items: ['clip-0001', 'clip-0005', 'clip-0009'],
  item_ids: ['clip-0001', 'clip-0005'],
  folder: ['/nowhere/model'],
  fields: ['title', 'author_id', 'attributes.topic'],
  dtype: ['float16'],
};

/** Half of the optional fields are left out. */
const OPTIONAL_SHARE = 0.5;
const MAX_DEPTH = 8;

/** A value that the schema allows, as far as it says so; the patterns of ids are met. */
export function valueOf(schema: Schema, random: Random, name = '', depth = 0): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return random.pick(schema.enum);
  if (schema.anyOf !== undefined) return valueOf(random.pick(schema.anyOf), random, name, depth);
  if (schema.else !== undefined) return valueOf(random.chance(0.3) && schema.then ? schema.then : schema.else, random, name, depth);
  const type = Array.isArray(schema.type) ? schema.type[0] : (schema.type ?? (schema.properties !== undefined ? 'object' : 'string'));
  switch (type) {
    case 'null':
      return null;
    case 'boolean':
      return random.chance(0.5);
    case 'integer':
    case 'number': {
      const low = schema.minimum ?? 0;
      const value = low + random.below(Math.min((schema.maximum ?? low + 100) - low, 100) + 1);
      return type === 'integer' ? Math.ceil(value) : Math.min(value, schema.maximum ?? value);
    }
    case 'array': {
      const length = Math.max(schema.minItems ?? 0, 1 + random.below(3));
      return depth >= MAX_DEPTH ? [] : Array.from({ length }, () => valueOf(schema.items ?? {}, random, name, depth + 1));
    }
    case 'object':
      return objectOf(schema, random, depth);
    default:
      return textOf(schema, random, name);
  }
}

function objectOf(schema: Schema, random: Random, depth: number): Record<string, unknown> {
  const required = new Set(schema.required ?? []);
  const entries = Object.entries(schema.properties ?? {}).filter(
    ([key]) => required.has(key) || (depth < MAX_DEPTH && random.chance(OPTIONAL_SHARE)),
  );
  const value = Object.fromEntries(entries.map(([key, field]) => [key, valueOf(field, random, key, depth + 1)]));
  if (typeof schema.additionalProperties === 'object')
    value[`field_${random.below(5)}`] = valueOf(schema.additionalProperties, random, '', depth + 1);
  return value;
}

function textOf({ format, minLength }: Schema, random: Random, name: string): string {
  const known = KNOWN[name];
  if (known !== undefined) return random.pick(known);
  if (format === 'date-time') return new Date(Date.UTC(2026, random.below(12), 1 + random.below(28))).toISOString();
  return `text${random.below(1000)}`.padEnd(minLength ?? 0, 'x');
}

/** The path with its parameters filled in, and the required ones of the query string. */
export function urlOf({ path, parameters }: Route, random: Random): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(random.pick(KNOWN[name] ?? ['0'.repeat(64)]))));
  const query = parameters
    .filter((parameter) => parameter.in === 'query' && (parameter.required === true || random.chance(0.2)))
    .map(({ name, schema }): [string, string] => [name, String(valueOf(schema, random, name))]);
  return query.length === 0 ? filled : `${filled}?${new URLSearchParams(query).toString()}`;
}
