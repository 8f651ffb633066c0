import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { DockerfileParser, type From } from 'dockerfile-ast';
import { parse } from 'yaml';
import { describeSettings, readConfig } from '../../src/config.js';
import { packageFile } from '../../src/package-root.js';
import { build } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

const read = (...parts: string[]): string => readFileSync(packageFile(...parts), 'utf8');
const DOCKERFILE = DockerfileParser.parse(read('Dockerfile'));
const PACKAGE = JSON.parse(read('package.json')) as { scripts: { start: string } };
const TARGETS = ['cpu', 'cuda'];

/** Instructions by stage. */
function stages() {
  const found = new Map<string, { keyword: string; text: string }[]>();
  let steps: { keyword: string; text: string }[] = [];
  for (const instruction of DOCKERFILE.getInstructions()) {
    if (instruction.getKeyword() === 'FROM') found.set((instruction as From).getBuildStage() ?? '', (steps = []));
    else steps.push({ keyword: instruction.getKeyword(), text: instruction.getRawArgumentsContent() ?? '' });
  }
  return found;
}

test('base images are pinned to a release, and the last stage is what `docker build` makes without a target', () => {
  const made = new Set<string>();
  for (const from of DOCKERFILE.getFROMs()) {
    const image = from.getImage() ?? '';
    if (image !== 'scratch' && !made.has(image)) assert.match(image, /:(\$\{NODE_VERSION\}|\d+\.\d+\.\d+)-/, image);
    made.add(from.getBuildStage() ?? '');
  }
  assert.equal(DOCKERFILE.getFROMs().at(-1)?.getBuildStage(), 'cpu');
});

test('every target runs as a user without rights, checks its health and asks for settings that exist', () => {
  for (const target of TARGETS) {
    const steps = stages().get(target) ?? [];
    const last = (keyword: string): string => steps.findLast((step) => step.keyword === keyword)?.text ?? '';
    assert.equal(last('USER'), '1000:1000', target);
    assert.match(last('HEALTHCHECK'), /CMD \["node", "scripts\/health\.mjs"\]$/);
    // as `npm start` does it
    assert.equal(`exec ${(JSON.parse(last('CMD')) as string[]).join(' ')}`, PACKAGE.scripts.start);
    const environment = Object.fromEntries(
      last('ENV')
        .split(/\s+/)
        .map((pair) => pair.split('=') as [string, string]),
    );
    assert.throws(() => readConfig(environment), /without REELFUSE_API_KEYS only a loopback address/);
    assert.equal(readConfig({ ...environment, REELFUSE_API_KEYS: 'a-long-secret:admin' }).dataDir, '/data');
  }
});

test('the health check holds for a server that is ready, and for no other', async (t) => {
  const { app, services } = await build(t, {}, undefined, { load: false });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const check = async (onPort: number): Promise<[number, string]> => {
    const env = { ...process.env, REELFUSE_PORT: String(onPort) };
    const child = spawn(process.execPath, [packageFile('scripts', 'health.mjs')], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return [code, said];
  };
  assert.deepEqual(await check(port), [1, '/readyz is answered by 503\n']);
  await services.load();
  assert.deepEqual(await check(port), [0, '']);
  await app.close();
  const [code, said] = await check(port);
  assert.equal(code, 1);
  assert.match(said, /ECONNREFUSED/);
});

interface Service {
  image: string;
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  environment?: Record<string, string>;
  secrets?: string[];
  volumes?: string[];
  ports?: string[];
  depends_on?: Record<string, unknown>;
}
interface Compose {
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
  volumes: Record<string, unknown>;
}

test('the compose file locks every container up, and names files, settings, volumes and secrets that exist', (t) => {
  const folder = join(temporaryFolder(t), 'ops');
  cpSync(packageFile('ops'), folder, { recursive: true, filter: (path) => !path.endsWith('secrets') });
  const made = spawnSync('sh', [join(folder, 'make-secrets.sh')], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const { services, secrets, volumes } = parse(read('ops', 'compose.yaml'), { merge: true }) as Compose;
  assert.deepEqual(Object.keys(services), ['reelfuse', 'prometheus', 'grafana']);
  const settings = new Set(describeSettings().map(({ name }) => name));
  for (const [name, service] of Object.entries(services)) {
    assert.deepEqual([service.read_only, service.cap_drop, service.security_opt], [true, ['ALL'], ['no-new-privileges:true']], name);
    if (name !== 'reelfuse') assert.match(service.image, /:v?\d+\.\d+\.\d+$/);
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/);
    for (const secret of service.secrets ?? []) assert.ok(existsSync(join(folder, secrets[secret]?.file ?? 'missing')), secret);
    for (const volume of service.volumes ?? []) {
      const [from = ''] = volume.split(':');
      assert.ok(from.startsWith('.') ? existsSync(join(folder, from)) : from in volumes, volume);
    }
    for (const dependency of Object.keys(service.depends_on ?? {})) assert.ok(dependency in services, dependency);
  }
  for (const variable of Object.keys(services.reelfuse?.environment ?? {})) assert.ok(settings.has(variable.replace(/_FILE$/, '')), variable);

  const { apiKeys } = readConfig({ REELFUSE_API_KEYS_FILE: join(folder, 'secrets', 'api-keys') });
  const secretOf = (file: string): string => readFileSync(join(folder, 'secrets', file), 'utf8');
  assert.deepEqual(apiKeys, [
    { secret: secretOf('app-key'), scopes: ['recommend', 'write'] },
    { secret: secretOf('admin-key'), scopes: ['admin'] },
    { secret: secretOf('metrics-key'), scopes: ['metrics'] },
  ]);
  assert.equal(statSync(join(folder, 'secrets')).mode & 0o777, 0o700);
  const before = secretOf('api-keys');
  spawnSync('sh', [join(folder, 'make-secrets.sh')]);
  assert.equal(secretOf('api-keys'), before);
});

test('the compose file of a cluster names settings, volumes and secrets that exist, and its balancer every server', (t) => {
  const folder = join(temporaryFolder(t), 'ops');
  cpSync(packageFile('ops'), folder, { recursive: true, filter: (path) => !path.endsWith('secrets') });
  assert.equal(spawnSync('sh', [join(folder, 'make-secrets.sh')]).status, 0);
  const { services, secrets, volumes } = parse(read('ops', 'compose.cluster.yaml'), { merge: true }) as Compose;
  const settings = new Set(describeSettings().map(({ name }) => name));
  const servers = Object.keys(services).filter((name) => name.startsWith('reelfuse-'));
  const balanced = [...read('ops', 'nginx', 'cluster.conf').matchAll(/server (reelfuse-\d):8080/g)].map(([, name]) => name);
  assert.deepEqual(balanced, servers);
  for (const [name, service] of Object.entries(services)) {
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/);
    for (const secret of service.secrets ?? []) assert.ok(existsSync(join(folder, secrets[secret]?.file ?? 'missing')), `${name} ${secret}`);
    for (const volume of (service.volumes ?? []).filter((one) => one.includes(':'))) {
      const [from = ''] = volume.split(':');
      assert.ok(from.startsWith('.') ? existsSync(join(folder, from)) : from in volumes, volume);
    }
    if (servers.includes(name))
      for (const variable of Object.keys(service.environment ?? {})) assert.ok(settings.has(variable.replace(/_FILE$/, '')), variable);
  }
  const { databaseUrl } = readConfig({ REELFUSE_DATABASE_URL_FILE: join(folder, 'secrets', 'database-url') });
  assert.ok(databaseUrl.includes(readFileSync(join(folder, 'secrets', 'postgres-password'), 'utf8')));
});

test('what Grafana is provisioned with fits together', () => {
  const { services } = parse(read('ops', 'compose.yaml'), { merge: true }) as Compose;
  const [{ url = '' } = {}] = (parse(read('ops', 'grafana', 'provisioning', 'datasources', 'prometheus.yaml')) as { datasources: { url: string }[] })
    .datasources;
  assert.ok(new URL(url).hostname in services);
  const [{ options } = { options: { path: '' } }] = (
    parse(read('ops', 'grafana', 'provisioning', 'dashboards', 'reelfuse.yaml')) as { providers: { options: { path: string } }[] }
  ).providers;
  assert.ok(services.grafana?.volumes?.includes(`./grafana/reelfuse.json:${options.path}/reelfuse.json:ro`));
});
