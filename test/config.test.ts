import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeSettings, readConfig, serviceLinks, settingsInUse } from '../src/config.js';
import { temporaryFolder } from './temporary-folder.js';

test('defaults are complete and every setting is described', () => {
  const config = readConfig({});
  assert.equal(config.port, 8080);
  assert.equal(config.host, '127.0.0.1');
  assert.equal(describeSettings().length, Object.keys(config).length - 1, 'the file of the API keys comes with their setting');
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
  for (const content of ['', ' \n']) {
    writeFileSync(file, content);
    for (const name of ['REELFUSE_API_KEYS_FILE', 'REELFUSE_CURSOR_SECRET_FILE', 'REELFUSE_DATABASE_URL_FILE'])
      assert.throws(() => readConfig({ [name]: file }), new RegExp(`${name} names a file that is empty`)); // not as if it were unset: that is open to all
  }
  assert.throws(() => readConfig({ REELFUSE_API_KEYS: 'one-secret:admin,one-secret:recommend' }), /key 2 has the secret of an earlier one/);
  assert.equal(readConfig({ REELFUSE_DATA_DIR: '' }).dataDir, './data');
  assert.throws(() => readConfig({ REELFUSE_API_KEYS: ' , ' }), /REELFUSE_API_KEYS holds no key/);
  assert.throws(() => readConfig({ REELFUSE_API_KEYS: 'long-secret:read' }), /REELFUSE_API_KEYS key 1 has the scope "read"; known are recommend/);
  assert.throws(
    () => readConfig({ REELFUSE_DATABASE_URL: 'mysql://u:top-secret@h/d' }),
    (error: Error) => /must look like postgres:/.test(error.message) && !error.message.includes('top-secret'),
  );
  assert.throws(
    () => readConfig({ REELFUSE_API_KEYS: 'top-secret-value' }),
    (error: Error) => !error.message.includes('top-secret'),
  );
});

test('what an orchestrator sets for a service of this name is no setting', () => {
  const kubernetes = {
    REELFUSE_SERVICE_HOST: '10.96.7.7',
    REELFUSE_SERVICE_PORT: '8080',
    REELFUSE_SERVICE_PORT_HTTP: '8080',
    REELFUSE_PORT: 'tcp://10.96.7.7:8080',
    REELFUSE_PORT_8080_TCP: 'tcp://10.96.7.7:8080',
    REELFUSE_PORT_8080_TCP_PROTO: 'tcp',
    REELFUSE_PORT_8080_TCP_PORT: '8080',
    REELFUSE_PORT_8080_TCP_ADDR: '10.96.7.7',
    // of another service, reelfuse-canary
    REELFUSE_CANARY_SERVICE_HOST: 'fd00::7',
    REELFUSE_CANARY_PORT: 'tcp://[fd00::7]:9090',
    REELFUSE_CANARY_PORT_9090_UDP_PORT: '9090',
  };
  assert.deepEqual(serviceLinks(kubernetes), Object.keys(kubernetes).sort());
  assert.equal(readConfig(kubernetes).port, 8080);
  assert.deepEqual(settingsInUse({ ...kubernetes, REELFUSE_HOST: '::1' }), ['REELFUSE_HOST']);
  assert.equal(readConfig({ ...kubernetes, REELFUSE_PORT: '8090' }).port, 8090); // the pod's own setting takes precedence
  const docker = { REELFUSE_NAME: '/web/reelfuse', REELFUSE_ENV_NODE_VERSION: '22', REELFUSE_PORT: 'tcp://172.17.0.5:8080' };
  assert.equal(readConfig(docker).port, 8080);
});

test('a misspelt setting is refused, though it looks like a link', () => {
  for (const [name, value] of [
    ['REELFUSE_PORT', 'tcp:8080'],
    ['REELFUSE_SERVICE_NAME', 'clips'],
    ['REELFUSE_SERVICE_HOST', 'clips.example'],
    ['REELFUSE_NAME', 'clips'],
    ['REELFUSE_ENV_NODE_VERSION', '22'],
    ['REELFUSE_HTTP_PORT', '8080'],
  ] as const)
    assert.throws(() => readConfig({ [name]: value }), new RegExp(name));
});
