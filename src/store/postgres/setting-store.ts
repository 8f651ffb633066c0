import type { IdempotencyStore, KeptAnswer } from '../idempotency.js';
import type { KeyValueStore } from '../key-values.js';
import type { ModelRecord, ModelStore } from '../models.js';
import type { Database } from './database.js';

export const createModelStore = ({ rows }: Pick<Database, 'rows'>): ModelStore => ({
  register: async ({ fingerprint, folder, manifest, registered_at: at }) => {
    await rows(
      `INSERT INTO models (fingerprint, folder, manifest, registered_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (fingerprint) DO UPDATE SET folder = excluded.folder`,
      [fingerprint, folder, manifest, at],
    );
  },
  list: () => rows<ModelRecord>('SELECT fingerprint, folder, manifest, registered_at FROM models ORDER BY registered_at'),
});

export const createKeyValueStore = ({ rows }: Pick<Database, 'rows'>): KeyValueStore => ({
  get: async (key) => (await rows<{ value: string }>('SELECT value FROM settings WHERE key = $1', [key]))[0]?.value ?? null,
  add: async (key, value) => {
    await rows('INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING', [key, value]);
    return (await rows<{ value: string }>('SELECT value FROM settings WHERE key = $1', [key]))[0]?.value ?? value;
  },
  set: async (key, value) => {
    await rows('INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value', [key, value]);
  },
});

export const createIdempotencyStore = ({ rows }: Pick<Database, 'rows'>): IdempotencyStore => ({
  get: async (key) => (await rows<KeptAnswer>('SELECT key, digest, status, answer, created_at FROM kept_answers WHERE key = $1', [key]))[0] ?? null,
  keep: async ({ key, digest, status, answer, created_at: at }, dropBefore) => {
    await rows(
      'DELETE FROM kept_answers WHERE key IN (SELECT key FROM kept_answers WHERE created_at < $1 ORDER BY created_at LIMIT 20 FOR UPDATE SKIP LOCKED)',
      [dropBefore],
    );
    await rows(
      `INSERT INTO kept_answers (key, digest, status, answer, created_at) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, status = excluded.status, answer = excluded.answer, created_at = excluded.created_at`,
      [key, digest, status, answer, at],
    );
  },
});
