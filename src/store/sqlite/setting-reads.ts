import type Database from 'better-sqlite3';
import type { IdempotencyStore, KeptAnswer } from '../idempotency.js';
import type { KeyValueStore } from '../key-values.js';
import type { ModelRecord, ModelStore } from '../models.js';
import type { ReadGuard } from './read-guard.js';

export interface SettingReads {
  value: KeyValueStore['get'];
  keptAnswer: IdempotencyStore['get'];
  models: ModelStore['list'];
}

export function prepareSettingReads(database: Database.Database, guard: ReadGuard): SettingReads {
  const value = database.prepare<[string], string>('SELECT value FROM meta WHERE key = ?').pluck();
  const keptAnswer = database.prepare<[string], KeptAnswer>('SELECT key, digest, status, answer, created_at FROM kept_answers WHERE key = ?');
  const models = database.prepare<[], ModelRecord>('SELECT fingerprint, folder, manifest, registered_at FROM models ORDER BY registered_at');
  return {
    value: guard((key) => value.get(key) ?? null),
    keptAnswer: guard((key) => keptAnswer.get(key) ?? null),
    models: guard(() => models.all()),
  };
}
