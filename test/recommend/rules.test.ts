import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReelfuseError } from '../../src/errors.js';
import { parseRules, type ParsedRules } from '../../src/recommend/rules.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import { itemOf, memoryContext } from './memory-context.js';

async function parse(request: Partial<RecommendRequest>): Promise<ParsedRules> {
  const { context, requestOf } = await memoryContext([{ id: 'a', fields: { attributes: { kind: 'x', size: 3 } } }]);
  return parseRules(context, requestOf(request));
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

test('of many unknown names the first get a suggestion', async () => {
  const filter = { any: Array.from({ length: 10 }, () => ({ field: 'kinds', eq: 'x' })) };
  const error = await parse({ filter, caps: [{ field: 'siz', max: 1 }] }).catch((reason: unknown) => reason);
  assert.ok(error instanceof ReelfuseError);
  const suggested = error.errors.map(({ detail }) => /did you mean "(\w+)"\?$/.exec(detail)?.[1] ?? null);
  assert.deepEqual(suggested, ['size', 'kind', 'kind', ...Array.from({ length: 8 }, () => null)]);
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
