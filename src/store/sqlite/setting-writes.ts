import type Database from 'better-sqlite3';
import type { KeptAnswer } from '../idempotency.js';
import type { ModelRecord } from '../models.js';

export interface SettingWrites {
  registerModel(model: ModelRecord): void;
  keepAnswer(answer: KeptAnswer, dropBefore: number): void;
  /** @param isFirst only where there is none */
  setValue(key: string, value: string, isFirst: boolean): void;
}

export function prepareSettingWrites(database: Database.Database): SettingWrites {
  const putModel = database.prepare(
    `INSERT INTO models (fingerprint, folder, manifest, registered_at) VALUES (@fingerprint, @folder, @manifest, @registered_at)
     ON CONFLICT (fingerprint) DO UPDATE SET folder = excluded.folder`,
  );
  const putAnswer = database.prepare(
    'INSERT OR REPLACE INTO kept_answers (key, digest, status, answer, created_at) VALUES (@key, @digest, @status, @answer, @created_at)',
  );
  const dropAnswers = database.prepare(
    'DELETE FROM kept_answers WHERE key IN (SELECT key FROM kept_answers WHERE created_at < ? ORDER BY created_at LIMIT 20)',
  );
  const putValue = database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
  const addValue = database.prepare('INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)');
  return {
    registerModel: (model) => void putModel.run(model),
    keepAnswer: (answer, dropBefore) => {
      dropAnswers.run(dropBefore);
      putAnswer.run(answer);
    },
    setValue: (key, value, isFirst) => void (isFirst ? addValue : putValue).run(key, value),
  };
}
