import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReelfuseError } from '../../src/errors.js';
import { parseRules, type ParsedRules } from '../../src/recommend/rules.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import { itemOf, memoryContext } from './memory-context.js';

async function parse(request: Partial<RecommendRequest>, isReady = true): Promise<ParsedRules> {
  const { catalogue, requestOf } = await memoryContext([{ id: 'a', fields: { attributes: { kind: 'x', size: 3 } } }]);
  return parseRules({ catalogue, isReady: () => isReady }, requestOf(request));
}

async function pointersOf(request: Partial<RecommendRequest>): Promise<string[]> {
  const error = await parse(request).catch((reason: unknown) => reason);
  assert.ok(error instanceof ReelfuseError && error.code === 'invalid_request');
  return error.errors.map(({ pointer }) => pointer);
}

test('a request without rules has none', async () => {
  assert.deepEqual(await parse({}), { filter: null, boosts: [] });
});

test('all mistakes are told at once, each where it is', async () => {
  const request: Partial<RecommendRequest> = {
    caps: [
      { field: 'author_id', max: 1 },
      { field: 'attributes.kind', max: 1 },
      { field: 'colour', max: 1 },
    ],
    fallbackMix: 'colour',
    filter: { field: 'size', eq: 'three' },
    boosts: [
      { filter: { field: 'kind', eq: 'x' }, factor: 2 },
      { filter: { field: 'kind' }, factor: 2 },
    ],
  };
  assert.deepEqual(await pointersOf(request), ['/caps/2/field', '/fallback_mix_by', '/filter/eq', '/boosts/1/filter']);
});

test('while the catalogue loads any attribute may be asked for', async () => {
  const { filter } = await parse({ filter: { field: 'colour', eq: 'red' }, caps: [{ field: 'colour', max: 1 }], fallbackMix: 'colour' }, false);
  assert.equal(filter?.matches(itemOf('a', 0, { attributes: { colour: 'red' } })), true);
});

test('a boost adds the logarithm of its factor and is named by its place', async () => {
  const { boosts } = await parse({
    boosts: [
      { filter: { field: 'kind', eq: 'x' }, factor: 2 },
      { filter: { field: 'kind', eq: 'y' }, factor: 0.5 },
    ],
  });
  assert.deepEqual(
    boosts.map(({ name, gain, matches }) => [name, gain, matches(itemOf('a', 0, { attributes: { kind: 'x' } }))]),
    [
      ['boost:0', Math.log(2), true],
      ['boost:1', Math.log(0.5), false],
    ],
  );
});

test('the filters of a request have 65,536 characters together at most', async () => {
  const filterOf = (length: number): object => ({ field: 'kind', eq: 'x'.repeat(length - JSON.stringify({ field: 'kind', eq: '' }).length) });
  const boosts = [{ filter: filterOf(30_000), factor: 2 }];
  assert.equal((await parse({ filter: filterOf(35_536), boosts })).filter?.key.length, 35_536);
  assert.deepEqual(await pointersOf({ filter: filterOf(35_537), boosts }), ['/boosts/0/filter']);
});
