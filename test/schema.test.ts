import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { compileSchema, fieldErrors } from '../src/schema.js';

test('a validator stops at its limit of errors while it works, and 20 of them are told', () => {
  const validate = compileSchema(Type.Object({ history: Type.Array(Type.String()) }, { additionalProperties: false }));
  let looked = 0;
  const values = new Proxy(Array.from({ length: 100_000 }).fill(0), {
    get: (target, key) => {
      if (typeof key === 'string' && /^\d+$/.test(key)) looked++;
      return Reflect.get(target, key) as unknown;
    },
  });
  const errors = validate({ history: values }) ?? [];
  assert.ok(looked < 1000, `${looked} of 100,000 elements were looked at`);
  const told = fieldErrors(errors);
  assert.equal(told.length, 20);
  assert.deepEqual(told[0], { pointer: '/history/0', detail: 'must be string' });
  const unknown = validate(Object.fromEntries([['history', []], ...Array.from({ length: 5000 }, (_, n) => [`k${n}`, n])])) ?? [];
  assert.ok(unknown.length <= 256, String(unknown.length));
});

test('unions do not run into the limit: errors of branches that do not hold are dropped', () => {
  const validate = compileSchema(Type.Array(Type.Union([Type.Number(), Type.Boolean(), Type.String()])));
  assert.equal(validate(Array.from({ length: 10_000 }).fill('text')), null);
  assert.ok((validate([...Array.from({ length: 10_000 }).fill('text'), {}]) ?? []).length > 0);
});
