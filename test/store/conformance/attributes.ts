import assert from 'node:assert/strict';
import { MAX_ATTRIBUTE_NAMES, type KnownAttribute } from '../../../src/domain/attribute-registry.js';
import { ReelfuseError } from '../../../src/errors.js';
import { conformanceOf, fields, item, UNUSUAL_IDS } from './stores.js';
import { beforeAndAfter } from './suite.js';

const carrying = (id: string, attributes: Record<string, unknown>) => item(id, { item: fields(id, { attributes }) });

/** The code of a refusal and the pointer to the first refused field, where it names one. */
async function refusal(task: Promise<unknown>): Promise<[status: number, code: string, pointer?: string]> {
  const error = await task.then(
    () => assert.fail('nothing was refused'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ReelfuseError, String(error));
  const [first] = error.errors;
  return [error.status, error.code, ...(first === undefined ? ([] as const) : ([first.pointer] as const))];
}

const told = ({ name, declared, types }: KnownAttribute) => [name, declared, types];

export const attributesConformance = conformanceOf('attributes', { list: true, declare: true, remove: true, onChange: true }, (behaves) => {
  behaves('a name that an item has carried stays known when that item is replaced and deleted, also after a restart', async (stores, reopen) => {
    const before = Date.now();
    await stores.items.put(carrying('a', { nsfw: true, size: 1, at: '2026-10-05T00:00:00Z', tags: [] }));
    await stores.items.updateFields(fields('a', { attributes: { size: 'large' } }));
    await stores.items.delete('a');
    for await (const { attributes } of beforeAndAfter(stores, reopen)) {
      const known = await attributes.list();
      assert.deepEqual(known.map(told), [
        ['at', null, ['time']],
        ['nsfw', null, ['boolean']],
        ['size', null, ['number', 'string']],
        ['tags', null, ['strings']],
      ]);
      for (const { declared_at: declared, first_seen_at: seen } of known) {
        assert.equal(declared, null);
        assert.ok(seen !== null && seen >= before && seen <= Date.now());
      }
    }
  });

  behaves('a declared type holds before an item has it, and after a restart; an item with another type is not written', async (stores, reopen) => {
    const promo = await stores.attributes.declare('promo', 'boolean');
    assert.deepEqual([...told(promo), promo.first_seen_at], ['promo', 'boolean', ['boolean'], null]);
    for await (const { items, attributes } of beforeAndAfter(stores, reopen)) {
      assert.deepEqual(await attributes.list(), [promo]);
      assert.deepEqual(await refusal(items.put(carrying('a', { promo: 'yes', other: 1 }))), [422, 'invalid_request', '/attributes/promo']);
      assert.deepEqual([await items.get('a'), await attributes.list()], [null, [promo]]); // `other` is not known by it
    }
  });

  behaves('a change of fields keeps to the declared type, too, and the item stays as it was', async ({ items, attributes }) => {
    await attributes.declare('promo', 'boolean');
    await items.put(carrying('a', { promo: true }));
    const update = items.updateFields(fields('a', { attributes: { promo: 1 } }));
    assert.deepEqual(await refusal(update), [422, 'invalid_request', '/attributes/promo']);
    assert.deepEqual((await items.get('a'))?.attributes, { promo: true });
    assert.notEqual((await attributes.list())[0]?.first_seen_at, null);
  });

  behaves('a type is not declared while an item carries another one; once none does, it is', async ({ items, attributes }) => {
    await items.put(carrying('a', { size: 'large' }));
    await items.put(carrying('b', { size: 1 }));
    assert.deepEqual(await refusal(attributes.declare('size', 'number')), [409, 'attribute_in_use']);
    assert.deepEqual((await attributes.list()).map(told), [['size', null, ['string', 'number']]]);
    await items.delete('a');
    assert.deepEqual(told(await attributes.declare('size', 'number')), ['size', 'number', ['number']]);
    assert.deepEqual(await refusal(attributes.declare('size', 'string')), [409, 'attribute_in_use']);
    assert.deepEqual(await refusal(items.put(carrying('a', { size: 'large' }))), [422, 'invalid_request', '/attributes/size']);
    await items.delete('b');
    assert.deepEqual(told(await attributes.declare('size', 'string')), ['size', 'string', ['string']]);
    await items.put(carrying('a', { size: 'large' }));
  });

  behaves('times are strings as well: either can be declared while all values are times', async ({ items, attributes }) => {
    await items.put(carrying('a', { at: '2026-10-05T00:00:00Z' }));
    await attributes.declare('at', 'string');
    await attributes.declare('at', 'time');
    await attributes.declare('at', 'string');
    await items.put(carrying('b', { at: 'soon' }));
    assert.deepEqual(await refusal(attributes.declare('at', 'time')), [409, 'attribute_in_use']);
  });

  behaves('the same declaration again changes nothing', async ({ items, attributes }) => {
    const first = await attributes.declare('size', 'number');
    await items.put(carrying('a', { size: 1 }));
    const again = await attributes.declare('size', 'number');
    assert.deepEqual([again.declared_at, again.first_seen_at !== null], [first.declared_at, true]);
  });

  behaves('of a declaration and a write against it that come together, one is refused', async ({ items, attributes }) => {
    for (let n = 0; n < 10; n++) {
      const name = `size ${n}`;
      await items.put(carrying('a', { [name]: 1 }));
      await items.delete('a');
      const put = () => items.put(carrying('b', { [name]: 1 }));
      const declare = () => attributes.declare(name, 'string');
      const results = await Promise.allSettled(n % 2 === 0 ? [put(), declare()] : [declare(), put()]);
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      await items.delete('b');
    }
  });

  behaves('of a deletion and a write that come together, either the write makes the name known again or the deletion is refused', async (stores) => {
    for (let n = 0; n < 10; n++) {
      const name = `size ${n}`;
      await stores.attributes.declare(name, 'number');
      const put = () => stores.items.put(carrying('a', { [name]: 1 }));
      const remove = () => stores.attributes.remove(name);
      await Promise.allSettled(n % 2 === 0 ? [put(), remove()] : [remove(), put()]);
      assert.ok((await stores.attributes.list()).some((known) => known.name === name));
      await stores.items.delete('a');
    }
  });

  behaves('an attribute that no item carries can be deleted, also after a restart; one that is carried cannot', async (stores, reopen) => {
    await stores.items.put(carrying('a', { typo: 1, kept: 1 }));
    assert.deepEqual(await refusal(stores.attributes.remove('typo')), [409, 'attribute_in_use']);
    await stores.items.put(carrying('a', { kept: 'typo: 1' }));
    assert.deepEqual((await stores.attributes.remove('typo'))?.name, 'typo');
    await stores.attributes.declare('unused', 'time');
    await stores.attributes.remove('unused');
    for await (const { attributes } of beforeAndAfter(stores, reopen)) {
      assert.deepEqual(
        (await attributes.list()).map(({ name }) => name),
        ['kept'],
      );
      assert.equal(await attributes.remove('typo'), null);
    }
  });

  behaves('every change is told before the write resolves, and nothing of a write that is refused', async ({ items, attributes }) => {
    const changes: [name: string, known: unknown[] | null][] = [];
    attributes.onChange((name, known) => void changes.push([name, known === null ? null : told(known)]));
    const next = async (write: Promise<unknown>): Promise<unknown> => {
      await write;
      return changes.splice(0);
    };
    assert.deepEqual(await next(items.put(carrying('a', { size: 1 }))), [['size', ['size', null, ['number']]]]);
    assert.deepEqual(await next(items.put(carrying('b', { size: 2 }))), []);
    assert.deepEqual(await next(attributes.declare('size', 'number')), [['size', ['size', 'number', ['number']]]]);
    assert.deepEqual(await next(refusal(items.put(carrying('c', { more: 1, size: 'x' })))), []);
    assert.deepEqual(await next(items.delete('a')), []);
    await items.delete('b');
    assert.deepEqual(await next(attributes.remove('size')), [['size', null]]);
  });

  behaves('names are listed by their UTF-8 bytes, whatever they hold', async (stores, reopen) => {
    const odd = ['a"b', 'a\\b', 'line\nbreak', '\u2028', 'a/~b', '__proto__', ...UNUSUAL_IDS];
    for (const name of odd) {
      await stores.items.put(carrying('a', JSON.parse(`{${JSON.stringify(name)}: 1}`) as Record<string, unknown>));
      assert.deepEqual(await refusal(stores.attributes.declare(name, 'string')), [409, 'attribute_in_use']);
      assert.deepEqual(await refusal(stores.attributes.remove(name)), [409, 'attribute_in_use']);
    }
    const sorted = [...odd].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for await (const { attributes } of beforeAndAfter(stores, reopen))
      assert.deepEqual(
        (await attributes.list()).map(({ name }) => name),
        sorted,
      );
  });

  behaves('more names than the maximum are refused, and the ones before are kept', async ({ items, attributes }) => {
    const names = Array.from({ length: MAX_ATTRIBUTE_NAMES - 1 }, (_, n) => [`a${n}`, 1]);
    await items.put(carrying('a', Object.fromEntries(names) as Record<string, unknown>));
    assert.deepEqual(await refusal(items.put(carrying('b', { one: 1, two: 2 }))), [422, 'invalid_request', '/attributes/two']);
    await attributes.declare('one', 'number');
    assert.deepEqual(await refusal(attributes.declare('two', 'number')), [422, 'invalid_request', '/path/name']);
    assert.equal((await attributes.list()).length, MAX_ATTRIBUTE_NAMES);
  });
});
