import { gzipSync } from 'node:zlib';
import type { Route, Schema } from './routes.js';
import type { Random } from './trial.js';

export interface Body {
  bytes: Buffer;
  headers: Record<string, string>;
  /** Bytes that the server may have to read and hold: the body after decompression. */
  size: number;
}

export interface Subject {
  route: Route;
  /** A body that the description allows. */
  value: unknown;
  random: Random;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const plain = (text: string | Buffer, headers: Record<string, string> = JSON_TYPE): Body => {
  const bytes = Buffer.from(text as string);
  return { bytes, headers, size: bytes.length };
};
const gzipped = (text: string | Buffer): Body => {
  const bytes = gzipSync(text, { level: 9 });
  return { bytes, headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, size: Buffer.byteLength(text as string) };
};

type Node = Record<string, unknown> | unknown[];
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

/** All places of a value: the object or array, and the key in it. */
function placesOf(value: unknown): { parent: Node; key: string }[] {
  if (!isNode(value)) return [];
  return Object.entries(value).flatMap(([key, child]) => [{ parent: value, key }, ...placesOf(child)]);
}

/** The body with a marker at one place, which `by` then replaces as text: what JSON.stringify would not write. */
function withText({ value, random }: Subject, by: string): string {
  const copy = structuredClone(value);
  const places = placesOf(copy);
  if (places.length === 0) return by;
  const { parent, key } = random.pick(places);
  (parent as Record<string, unknown>)[key] = '@@MARK@@';
  return JSON.stringify(copy).replace('"@@MARK@@"', () => by);
}

/** Body with a field of its own, as text, after those it has. */
const withFields = ({ value }: Subject, fields: string): string => {
  const text = JSON.stringify(isNode(value) && !Array.isArray(value) ? value : {});
  return `${text.slice(0, -1)}${text.length > 2 ? ',' : ''}${fields}}`;
};

/** Name and schema of an array field of the body, or of any name where it has none. */
function arrayField(schema: Schema | null): string {
  const arrays = Object.entries(schema?.properties ?? {}).filter(
    ([, field]) => field.type === 'array' || field.anyOf?.some(({ type }) => type === 'array'),
  );
  return arrays[0]?.[0] ?? 'history';
}

const OTHER_TYPES = [
  'null',
  'true',
  '-1',
  '0',
  '1.5',
  '1e308',
  '""',
  '"x"',
  '[]',
  '{}',
  '[[]]',
  '[null]',
  '{"":null}',
  '9007199254740993',
  '"\\u0000"',
];
const NUMBERS = ['NaN', '1e999', '-1e999', 'Infinity', '-0', '1e-400', '0x10', '01', '.5', '1'.repeat(400), `1e${'9'.repeat(100)}`];
const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '__defineGetter__', 'then', 'valueOf'];
const TYPES = [
  'text/plain',
  'application/xml',
  'multipart/form-data; boundary=x',
  'application/x-www-form-urlencoded',
  'application/json; charset=utf-16',
  '',
  'nonsense',
  'application/x-ndjson',
  'application/octet-stream',
];

/** Small mutations, many different ones of each by the seed. */
export const SMALL: Record<string, (subject: Subject) => Body> = {
  valid: ({ value }) => plain(JSON.stringify(value)),
  'other type': (subject) => plain(withText(subject, subject.random.pick(OTHER_TYPES))),
  'odd number': (subject) => plain(withText(subject, subject.random.pick(NUMBERS))),
  'lone surrogate': (subject) => plain(withText(subject, subject.random.pick(['"\\ud800"', '"\\udfff\\ud800"', '"a\\ud83d"']))),
  'invalid UTF-8': (subject) => {
    const bytes = Buffer.from(withText(subject, '"###"'));
    const bad = subject.random.pick([
      [0xff, 0xfe, 0xfd],
      [0xc3, 0x28, 0x41],
      [0xed, 0xa0, 0x80],
      [0xf8, 0x88, 0x80],
    ]);
    const at = bytes.indexOf('###');
    if (at >= 0) Buffer.from(bad).copy(bytes, at);
    return plain(bytes);
  },
  'prototype name': (subject) => {
    const name = subject.random.pick(NAMES);
    return plain(subject.random.chance(0.5) ? withFields(subject, `"${name}":{"polluted":true}`) : withText(subject, `{"${name}":{"polluted":1}}`));
  },
  'duplicate keys': (subject) =>
    plain(
      withFields(
        subject,
        Object.keys((subject.value ?? {}) as object)
          .map((key) => `${JSON.stringify(key)}:1`)
          .join(',') || '"a":1,"a":2',
      ),
    ),
  'missing field': ({ value, random }) => {
    const copy = structuredClone(value);
    const places = placesOf(copy);
    if (places.length > 0) {
      const { parent, key } = random.pick(places);
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else Reflect.deleteProperty(parent, key);
    }
    return plain(JSON.stringify(copy) ?? '');
  },
  'cut JSON': ({ value, random }) => {
    const text = JSON.stringify(value) ?? '{}';
    return plain(text.slice(0, random.below(text.length)));
  },
  'wrong content type': ({ value, random }) => plain(JSON.stringify(value), { 'content-type': random.pick(TYPES) }),
  'broken gzip': ({ value, random }) => {
    const whole = gzipSync(JSON.stringify(value) ?? '{}');
    const bytes = random.chance(0.5)
      ? whole.subarray(0, random.below(whole.length))
      : Buffer.from(whole).fill(random.below(256), random.below(whole.length));
    return { bytes, headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, size: bytes.length };
  },
  'wrong encoding': ({ value, random }) =>
    plain(JSON.stringify(value), { ...JSON_TYPE, 'content-encoding': random.pick(['gzip', 'br', 'deflate', 'zstd', 'x', 'gzip, gzip', '']) }),
};

const MIB = 1024 * 1024;
const repeat = (text: string, bytes: number): string => text.repeat(Math.max(1, Math.floor(bytes / text.length)));

/** Bodies that are costly, of a given size after decompression. */
export const LARGE: Record<string, (subject: Subject, bytes: number) => Body> = {
  'zeros, gzipped': ({ route }, bytes) => gzipped(`{"${arrayField(route.body)}":[${repeat('0,', bytes)}1]}`),
  'empty objects': ({ route }, bytes) => gzipped(`{"${arrayField(route.body)}":[${repeat('{},', bytes)}{}]}`),
  'unknown keys': (_, bytes) => plain(`{${Array.from({ length: Math.floor(bytes / 11) }, (__, n) => `"k${n.toString(36)}":0`).join(',')}}`),
  'unknown keys in rows': ({ route }, bytes) => {
    const keys = Array.from({ length: 1000 }, (_, n) => `"k${n}":0`).join(',');
    return plain(`{"${arrayField(route.body)}":[${repeat(`{${keys}},`, bytes)}{}]}`);
  },
  'deep arrays': ({ route }, bytes) => gzipped(`{"${arrayField(route.body)}":${'['.repeat(bytes / 2)}${']'.repeat(bytes / 2)}}`),
  'deep objects': ({ route }, bytes) => gzipped(`{"${arrayField(route.body)}":${repeat('{"not":', bytes)}1${repeat('}', bytes / 7)}}`),
  'deep filter': (subject, bytes) =>
    gzipped(withFields(subject, `"filter":${repeat('{"not":', bytes)}{}${'}'.repeat(Math.max(1, Math.floor(bytes / 7)))}`)),
  'wide filter': (subject, bytes) =>
    plain(withFields(subject, `"filter":{"any":[${repeat('{"field":"topic","eq":"x"},', bytes)}{"field":"topic","eq":1}]}`)),
  'long string': (subject, bytes) => gzipped(withText(subject, `"${'x'.repeat(bytes)}"`)),
  'long key': (subject, bytes) => gzipped(withFields(subject, `"${'k'.repeat(bytes)}":1`)),
  escapes: (subject, bytes) => gzipped(withText(subject, `"${repeat('\\u0000', bytes)}"`)),
  'long number': (subject, bytes) => gzipped(withText(subject, '1'.repeat(bytes))),
  blank: (_, bytes) => gzipped(' '.repeat(bytes)),
  'gzip bomb': (_, bytes) => ({ ...gzipped(Buffer.alloc(bytes)), size: bytes }),
};

/** By the size that a run has time for. */
export const LARGE_BYTES = { full: [5 * MIB, 63 * MIB], short: [2 * MIB] };
