import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { createMetrics } from '../../src/metrics.js';
import { ReelfuseError } from '../../src/errors.js';
import { codeOf, DamagedError, storageFaultOf } from '../../src/storage-faults.js';
import { createStorageHealth } from '../../src/store/storage-health.js';

const failure = (code: string, cause?: unknown): Error => Object.assign(new Error(code, { cause }), code !== '' && { code });

function open() {
  const metrics = createMetrics();
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(String((JSON.parse(line) as { msg: string }).msg)) });
  return { metrics, lines, health: createStorageHealth(metrics, log, () => 1000) };
}

test('the storage is told apart from the program by codes of Node and SQLite, through causes', () => {
  const faults = ['ENOSPC', 'EDQUOT', 'SQLITE_FULL', 'EIO', 'EROFS', 'SQLITE_IOERR_READ', 'SQLITE_READONLY', 'SQLITE_CANTOPEN'].map((code) =>
    storageFaultOf(failure(code)),
  );
  assert.deepEqual(faults, ['full', 'full', 'full', 'failed', 'failed', 'failed', 'failed', 'failed']);
  assert.deepEqual(
    ['SQLITE_CORRUPT', 'SQLITE_CORRUPT_INDEX', 'SQLITE_NOTADB'].map((code) => storageFaultOf(failure(code))),
    ['damaged', 'damaged', 'damaged'],
  );
  assert.equal(storageFaultOf(new DamagedError('x')), 'damaged');
  assert.equal(storageFaultOf(failure('', failure('EIO'))), 'failed');
  assert.equal(storageFaultOf(Object.assign(failure('ENOENT'), { syscall: 'mkdir' })), 'failed'); // of a recursive mkdir
  for (const code of ['SQLITE_BUSY', 'SQLITE_CONSTRAINT_UNIQUE', 'ENOENT', 'ECONNRESET']) assert.equal(storageFaultOf(failure(code)), null, code);
  assert.deepEqual([storageFaultOf('EIO'), storageFaultOf(null), codeOf({ code: 'EIO' })], [null, null, '']);
});

test('a fault lasts until the disk works again; it is logged when it begins and when it ends', () => {
  const { health, lines } = open();
  assert.equal(health.isFailing, false);
  const told = health.told(failure('SQLITE_IOERR_FSYNC')) as ReelfuseError;
  assert.deepEqual([told.status, told.code, told.retryAfter], [503, 'storage_failed', 10]);
  health.told(failure('EIO'));
  assert.deepEqual(health.problems, [{ fault: 'failed', detail: 'EIO', since: 1000 }]);
  health.told(failure('SQLITE_FULL'));
  assert.equal(health.isFailing, true);
  health.noteWorking();
  assert.deepEqual([health.isFailing, health.problems], [false, []]);
  assert.deepEqual(lines, ['the storage is degraded', 'the storage is degraded', 'the storage is sound again', 'the storage is sound again']);
});

test('what is no fault of the storage is passed on as it is', () => {
  const { health } = open();
  const refused = new ReelfuseError(409, 'conflict', 'no');
  const other = new Error('a bug');
  assert.equal(health.told(refused), refused);
  assert.equal(health.told(other), other);
  assert.deepEqual(health.problems, []);
});

test('damage of rows ends with the last of them; damage of pages when the whole store was read', async () => {
  const { health, metrics } = open();
  const [a, b] = [
    { table: 'hidden_states', key: 'a' },
    { table: 'items', key: 'a' },
  ] as const;
  health.noteDamaged(a, 'x');
  health.noteDamaged(a, 'x');
  health.noteDamaged(b, 'x');
  assert.equal((await metrics.damagedRows.get()).values[0]?.value, 2);
  health.noteSound(a);
  assert.equal(health.problems.length, 1);
  health.told(failure('SQLITE_CORRUPT'));
  health.noteSound(b);
  assert.equal(health.problems[0]?.detail, 'SQLITE_CORRUPT');
  health.noteWorking(); // writes work: that says nothing about what is damaged
  assert.equal(health.problems.length, 1);
  health.noteWhole();
  assert.deepEqual([health.problems, health.damagedRows], [[], []]);
});
