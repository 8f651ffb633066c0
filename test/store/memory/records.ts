import type { IdempotencyStore } from '../../../src/store/idempotency.js';
import type { KeyValueStore } from '../../../src/store/key-values.js';
import type { ModelStore } from '../../../src/store/models.js';
import type { Shared } from './data.js';

export const createMemoryModels = ({ data: { models } }: Shared): ModelStore => ({
  register: async (model) => {
    const known = models.get(model.fingerprint);
    models.set(model.fingerprint, known === undefined ? { ...model } : { ...known, folder: model.folder });
  },
  list: async () => structuredClone([...models.values()].sort((a, b) => a.registered_at - b.registered_at)),
});

export const createMemoryKeyValues = ({ data: { values } }: Shared): KeyValueStore => ({
  get: async (key) => values.get(key) ?? null,
  set: async (key, value) => void values.set(key, value),
  add: async (key, value) => {
    if (!values.has(key)) values.set(key, value);
    return values.get(key) ?? value;
  },
});

export const createMemoryIdempotency = ({ data: { answers } }: Shared): IdempotencyStore => ({
  get: async (key) => structuredClone(answers.get(key) ?? null),
  keep: async (answer, dropBefore) => {
    for (const { key, created_at: at } of [...answers.values()]) if (at < dropBefore) answers.delete(key);
    answers.set(answer.key, { ...answer });
  },
});
