import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TypedApp } from '../../src/http/typed-app.js';
import { build, clip, demoStates, otherModel, putClips } from '../build.js';

interface Point {
  item_id: string;
  x: number;
  y: number;
  item?: { title?: string };
}
interface ItemMap {
  model: { fingerprint: string };
  made_at: string;
  items: number;
  variance: [number, number];
  points: Point[];
}

const mapOf = async (app: TypedApp, query = '') => (await app.inject(`/v1/map${query}`)).json<ItemMap>();
const positions = async (app: TypedApp, itemIds: string[]) =>
  (await app.inject({ method: 'POST', url: '/v1/map/positions', payload: { item_ids: itemIds } })).json<ItemMap & { positions: Point[] }>();
const idsOf = ({ points }: ItemMap): string[] => points.map(({ item_id: itemId }) => itemId).sort();
const put = (app: TypedApp, itemId: string, like: string) =>
  app.inject({ method: 'PUT', url: `/v1/items/${itemId}`, payload: { hidden_states: demoStates(like) } });

test('the map shows every servable item of a small catalogue, around their mean', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 40);
  await put(app, 'twin', clip(1));
  await app.inject({ method: 'PUT', url: '/v1/items/waiting', payload: {} });
  await app.inject({ method: 'PATCH', url: `/v1/items/${clip(3)}`, payload: { hidden: true } });
  const map = await mapOf(app, '?fields=title');
  assert.equal(map.model.fingerprint, services.generations.current.artifact.fingerprint);
  assert.equal(map.items, 40); // 41 with a vector, one of them hidden
  assert.deepEqual(idsOf(map), [...Array.from({ length: 40 }, (_, n) => clip(n + 1)).filter((id) => id !== clip(3)), 'twin'].sort());
  assert.equal(map.points.find(({ item_id: id }) => id === clip(1))?.item?.title, `title of ${clip(1)}`);
  assert.ok(map.variance[0] >= map.variance[1] && map.variance[1] > 0 && map.variance[0] + map.variance[1] <= 1);
  assert.ok(Math.abs(map.points.reduce((sum, { x }) => sum + x, 0)) < 0.01); // around the mean, which is that of the sample
});

test('it is made once, yet never shows what is deleted or hidden, and shows a changed item where it is now', async (t) => {
  const { app } = await build(t);
  await putClips(app, 30);
  const before = await mapOf(app);
  await app.inject({ method: 'DELETE', url: `/v1/items/${clip(2)}` });
  await app.inject({ method: 'PATCH', url: `/v1/items/${clip(3)}`, payload: { hidden: true } });
  await put(app, clip(4), clip(200));
  const after = await mapOf(app);
  assert.equal(after.made_at, before.made_at);
  assert.deepEqual(
    idsOf(after),
    idsOf(before).filter((id) => id !== clip(2) && id !== clip(3)),
  );
  const [moved, was] = [after, before].map(({ points }) => points.find(({ item_id: id }) => id === clip(4)));
  assert.ok(Math.hypot((moved?.x ?? NaN) - (was?.x ?? NaN), (moved?.y ?? NaN) - (was?.y ?? NaN)) > 0.01);
  assert.deepEqual(await positions(app, [clip(4)]).then(({ positions: [first] }) => [first?.x, first?.y]), [moved?.x, moved?.y]);
});

test('items outside the sample can be placed; those without a vector are left out; the order is the caller’s', async (t) => {
  const { app } = await build(t);
  await putClips(app, 10);
  const { made_at: madeAt } = await mapOf(app);
  await put(app, 'later', clip(20));
  await app.inject({ method: 'PUT', url: '/v1/items/waiting', payload: {} });
  const answer = await positions(app, ['later', 'waiting', clip(2), 'nobody']);
  assert.equal(answer.made_at, madeAt);
  assert.deepEqual(
    answer.positions.map(({ item_id: id }) => id),
    ['later', clip(2)],
  );
  const refused = await app.inject({ method: 'POST', url: '/v1/map/positions', payload: { item_ids: [] } });
  assert.deepEqual([refused.statusCode, refused.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer], [422, '/item_ids']);
});

test('another model, and a catalogue that has grown by half, get a map of their own', async (t) => {
  const { app, services } = await build(t);
  assert.deepEqual((await mapOf(app)).points, []);
  await putClips(app, 20);
  const grown = await mapOf(app);
  assert.equal(grown.points.length, 20);
  const { fingerprint } = (await app.inject({ method: 'POST', url: '/v1/models', payload: { folder: await otherModel(t) } })).json<{
    fingerprint: string;
  }>();
  await app.inject({ method: 'POST', url: `/v1/models/${fingerprint}/activate` });
  await services.generations.idle();
  const next = await mapOf(app);
  assert.equal(next.model.fingerprint, fingerprint);
  assert.notDeepEqual(next.points, grown.points);
});

test('before the catalogue is loaded there is no map', async (t) => {
  const { app } = await build(t, {}, undefined, { load: false });
  const answer = await app.inject('/v1/map');
  assert.deepEqual([answer.statusCode, answer.json<{ code: string }>().code, answer.headers['retry-after']], [503, 'starting', '1']);
});
