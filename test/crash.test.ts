import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCrashTrial } from './crash.js';
import { temporaryFolder } from './temporary-folder.js';

test('after kill -9 under load everything acknowledged is there once; a log that was cut loses its last changes, nothing before', async (t) => {
  const trial = await openCrashTrial(temporaryFolder(t));
  try {
    await trial.round(60, 'none');
    await trial.round(80, 'torn log');
    const cut = await trial.cutLog(80);
    assert.deepEqual(trial.wrong, []);
    assert.ok(cut.there_up_to >= cut.at_least && cut.there_up_to <= cut.acknowledged_up_to, JSON.stringify(cut));
    assert.ok(trial.figures.items_deleted > 0 && trial.figures.items_patched > 0, JSON.stringify(trial.figures));
  } finally {
    await trial.close();
  }
});
