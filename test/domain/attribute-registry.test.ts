import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  admitAttributes,
  createAttributeRegistry,
  declareAttribute,
  MAX_ATTRIBUTE_NAMES,
  type KnownAttribute,
} from '../../src/domain/attribute-registry.js';
import type { AttributeType } from '../../src/domain/attributes.js';
import { ReelfuseError } from '../../src/errors.js';
import { registryOf } from './registry-of.js';

const declared = (name: string, type: AttributeType): ReadonlyMap<string, KnownAttribute> =>
  new Map([[name, declareAttribute(new Map(), name, type, 1)]]);

function refusal(task: () => unknown): [pointer: string, detail: string][] {
  try {
    task();
  } catch (error) {
    assert.ok(error instanceof ReelfuseError && error.code === 'invalid_request', String(error));
    return error.errors.map(({ pointer, detail }) => [pointer, detail]);
  }
  return assert.fail('nothing was refused');
}

const VALUES: Record<AttributeType, unknown> = { string: 'x', number: 1.5, boolean: false, time: '2026-10-05T00:00:00Z', strings: [] };

test('a declared type accepts its own values alone; a time may stand for a string', () => {
  const types = Object.keys(VALUES) as AttributeType[];
  for (const type of types) {
    const registry = declared('a/b', type);
    for (const [other, value] of Object.entries(VALUES)) {
      const write = () => admitAttributes(registry, { 'a/b': value }, 2);
      if (other === type || (type === 'string' && other === 'time')) assert.deepEqual(write(), [{ ...registry.get('a/b'), first_seen_at: 2 }]);
      else assert.deepEqual(refusal(write), [['/attributes/a~1b', `is a ${other}, the attribute is declared as ${type}`]]);
    }
  }
});

test('an attribute that is not declared has every type that its values have had, and a known one changes nothing', () => {
  const registry = registryOf([{ mixed: 1, tags: ['x'] }, { mixed: 'one' }, { at: '2026-10-05T00:00:00Z' }]);
  assert.deepEqual(registry.typesOf('mixed'), new Set(['number', 'string']));
  assert.deepEqual(registry.typesOf('tags'), new Set(['strings']));
  assert.deepEqual(registry.typesOf('at'), new Set(['time', 'string'])); // as text, too
  assert.equal(registry.typesOf('none'), null);
  const entries = new Map(registry.all().map((known) => [known.name, known]));
  assert.deepEqual(admitAttributes(entries, { mixed: 'two', tags: [] }, 9), []);
});

test('names are bounded: one more is refused by name, a known one is not, and a deleted one makes room', () => {
  const full = Array.from({ length: MAX_ATTRIBUTE_NAMES }, (_, n) => [`a${n}`, 1] as const);
  const entries = new Map(admitAttributes(new Map(), Object.fromEntries(full), 1).map((known) => [known.name, known]));
  assert.equal(entries.size, MAX_ATTRIBUTE_NAMES);
  assert.deepEqual(admitAttributes(entries, { a7: 2 }, 2), []);
  assert.deepEqual(refusal(() => admitAttributes(entries, { a7: 2, more: 2 }, 2))[0]?.[0], '/attributes/more');
  assert.deepEqual(refusal(() => declareAttribute(entries, 'more', 'string', 2))[0]?.[0], '/path/name');
  assert.equal(declareAttribute(entries, 'a7', 'number', 2).declared, 'number');
  entries.delete('a7');
  assert.equal(admitAttributes(entries, { more: 2 }, 2).length, 1);
});

test('names that object literals give a meaning to are names like others', () => {
  const attributes = JSON.parse('{"__proto__": 1, "constructor": true, "toString": "x"}') as Record<string, unknown>;
  const registry = registryOf([attributes]);
  assert.deepEqual(registry.typesOf('__proto__'), new Set(['number']));
  assert.deepEqual(
    registry.all().map(({ name }) => name),
    ['__proto__', 'constructor', 'toString'],
  );
  assert.equal(registry.typesOf('valueOf'), null);
});

test('a misspelt name gets the nearest known one, if that differs by two characters at most', () => {
  const registry = registryOf([{ topic: 'x', duration_s: 1, nsfw: true, language: 'en', a: 1 }]);
  const nearest: [string, string | null][] = [
    ['topik', 'topic'],
    ['tpic', 'topic'],
    ['Topics', 'topic'],
    ['durations', 'duration_s'],
    ['nswf', 'nsfw'],
    ['colour', null],
    ['b', null],
    ['', null],
    ['x'.repeat(64), null],
  ];
  for (const [name, known] of nearest) assert.equal(registry.nearest(name), known, name);
});

test('what the store tells is in effect at once', () => {
  const registry = createAttributeRegistry();
  const known = declareAttribute(new Map(), 'at', 'time', 5);
  registry.apply('at', known);
  assert.deepEqual([registry.get('at'), registry.typesOf('at'), registry.all()], [known, new Set(['time']), [known]]);
  registry.apply('at', null);
  assert.deepEqual([registry.get('at'), registry.typesOf('at'), registry.all()], [null, null, []]);
});
