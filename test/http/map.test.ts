import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyOf, type Api } from '../api.js';
import { build, clip, demoStates, otherModel, putClips } from '../build.js';

const shownBy = ({ points }: { points: readonly { item_id: string }[] }): string[] => points.map(({ item_id: itemId }) => itemId).sort();
const put = (api: Api, itemId: string, like: string) => api.putItem(itemId, { hidden_states: demoStates(like) });

test('the map shows every servable item of a small catalogue, around their mean', async (t) => {
  const { app, api, services } = await build(t);
  await putClips(app, 40);
  await put(api, 'twin', clip(1));
  await api.putItem('waiting');
  await api.patchItem(clip(3), { hidden: true });
  const map = await bodyOf(api.getMap('fields=title'));
  assert.equal(map.model.fingerprint, services.generations.current.artifact.fingerprint);
  assert.equal(map.items, 40); // 41 with a vector, one of them hidden
  assert.deepEqual(shownBy(map), [...Array.from({ length: 40 }, (_, n) => clip(n + 1)).filter((id) => id !== clip(3)), 'twin'].sort());
  assert.equal(map.points.find(({ item_id: id }) => id === clip(1))?.item?.title, `title of ${clip(1)}`);
  const [first = NaN, second = NaN] = map.variance;
  assert.ok(first >= second && second > 0 && first + second <= 1);
  assert.ok(Math.abs(map.points.reduce((sum, { x }) => sum + x, 0)) < 0.01); // around the mean, which is that of the sample
});

test('it is made once, yet never shows what is deleted or hidden, and shows a changed item where it is now', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 30);
  const before = await bodyOf(api.getMap());
  await api.deleteItem(clip(2));
  await api.patchItem(clip(3), { hidden: true });
  await put(api, clip(4), clip(200));
  const after = await bodyOf(api.getMap());
  assert.equal(after.made_at, before.made_at);
  assert.deepEqual(
    shownBy(after),
    shownBy(before).filter((id) => id !== clip(2) && id !== clip(3)),
  );
  const [moved, was] = [after, before].map(({ points }) => points.find(({ item_id: id }) => id === clip(4)));
  assert.ok(Math.hypot((moved?.x ?? NaN) - (was?.x ?? NaN), (moved?.y ?? NaN) - (was?.y ?? NaN)) > 0.01);
  assert.deepEqual(await bodyOf(api.placeItems([clip(4)])).then(({ positions: [first] }) => [first?.x, first?.y]), [moved?.x, moved?.y]);
});

test('items outside the sample can be placed; those without a vector are left out; the order is the caller’s', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 10);
  const { made_at: madeAt } = await bodyOf(api.getMap());
  await put(api, 'later', clip(20));
  await api.putItem('waiting');
  const answer = await bodyOf(api.placeItems(['later', 'waiting', clip(2), 'nobody']));
  assert.equal(answer.made_at, madeAt);
  assert.deepEqual(
    answer.positions.map(({ item_id: id }) => id),
    ['later', clip(2)],
  );
  const refused = await api.raw({ method: 'POST', url: '/v1/map/positions', payload: { item_ids: [] } });
  assert.deepEqual([refused.status, refused.problem.errors[0]?.pointer], [422, '/item_ids']);
});

test('another model, and a catalogue that has grown by half, get a map of their own', async (t) => {
  const { app, api, services } = await build(t);
  assert.deepEqual((await bodyOf(api.getMap())).points, []);
  await putClips(app, 20);
  const grown = await bodyOf(api.getMap());
  assert.equal(grown.points.length, 20);
  const { fingerprint } = (await api.registerModel(await otherModel(t))).body;
  await api.activateModel(fingerprint);
  await services.generations.idle();
  const next = await bodyOf(api.getMap());
  assert.equal(next.model.fingerprint, fingerprint);
  assert.notDeepEqual(next.points, grown.points);
});

test('before the catalogue is loaded there is no map', async (t) => {
  const { api } = await build(t, {}, undefined, { load: false });
  const answer = await api.getMap();
  assert.deepEqual([answer.status, answer.problem.code, answer.headers['retry-after']], [503, 'starting', '1']);
});
