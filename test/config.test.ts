import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeSettings, readConfig } from '../src/config.js';
import { temporaryFolder } from './temporary-folder.js';

test('defaults are complete and every setting is described', () => {
  const config = readConfig({});
  assert.equal(config.port, 8080);
  assert.equal(config.host, '127.0.0.1');
  assert.equal(describeSettings().length, Object.keys(config).length);
  assert.ok(describeSettings().every(({ doc }) => doc !== ''));
});

test('an unknown or malformed setting is refused by name', () => {
  assert.throws(() => readConfig({ REELFUSE_PROT: '1' }), /REELFUSE_PROT is not a setting/);
  assert.throws(() => readConfig({ REELFUSE_PORT: '80a' }), /REELFUSE_PORT must be a whole number/);
  assert.throws(() => readConfig({ REELFUSE_EXECUTION_PROVIDERS: 'rocm' }), /REELFUSE_EXECUTION_PROVIDERS must be one of cuda, webgpu, cpu/);
  assert.throws(() => readConfig({ REELFUSE_REQUIRE_GPU: 'yes' }), /REELFUSE_REQUIRE_GPU must be true or false/);
});

test('without keys only loopback is listened on', () => {
  assert.throws(() => readConfig({ REELFUSE_HOST: '0.0.0.0' }), /only a loopback address/);
  assert.equal(readConfig({ REELFUSE_HOST: '0.0.0.0', REELFUSE_API_KEYS: 'long-secret:recommend' }).apiKeys.length, 1);
});

test('secrets may come from a file, and never stand in a message', (t) => {
  const file = join(temporaryFolder(t), 'keys');
  writeFileSync(file, 'from-the-file:write+recommend\n');
  assert.deepEqual(readConfig({ REELFUSE_API_KEYS_FILE: file }).apiKeys, [{ secret: 'from-the-file', scopes: ['write', 'recommend'] }]);
  assert.throws(
    () => readConfig({ REELFUSE_API_KEYS: 'top-secret-value' }),
    (error: Error) => !error.message.includes('top-secret'),
  );
});
