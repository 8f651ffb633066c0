import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { ConfigError, messageOf } from './errors.js';

export const PROVIDERS = ['cuda', 'webgpu', 'cpu'] as const;
export type Provider = (typeof PROVIDERS)[number];

export const SCOPES = ['recommend', 'write', 'admin', 'metrics'] as const;
export type Scope = (typeof SCOPES)[number];

export interface ApiKey {
  secret: string;
  scopes: Scope[];
}

export const EVENT_NAMES = ['impression', 'view', 'replay', 'skip', 'like', 'dislike', 'share', 'save', 'comment', 'follow', 'report'] as const;

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

const SAMPLERS = ['always_on', 'always_off', 'traceidratio', 'parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'] as const;

interface Setting<T> {
  doc: string;
  fallback: string;
  secret?: true;
  /** A name that others have settled, instead of the one that is made from the key. */
  variable?: string;
  /** Throws with a reason; the caller adds the name of the variable. */
  parse: (text: string) => T;
}

const setting = <T>(fallback: string, parse: (text: string) => T, doc: string): Setting<T> => ({ doc, fallback, parse });

const text = (value: string): string => value;

const integer =
  (minimum: number, maximum: number) =>
  (value: string): number => {
    if (!/^\d+$/.test(value)) throw new Error(`must be a whole number, got ${JSON.stringify(value)}`);
    const number = Number(value);
    if (number < minimum || number > maximum) throw new Error(`must be between ${minimum} and ${maximum}, got ${value}`);
    return number;
  };

const number =
  (minimum: number, maximum: number) =>
  (value: string): number => {
    const parsed = Number(value);
    if (value.trim() === '' || !(parsed >= minimum && parsed <= maximum)) {
      throw new Error(`must be a number between ${minimum} and ${maximum}, got ${JSON.stringify(value)}`);
    }
    return parsed;
  };

const flag = (value: string): boolean => {
  if (value === 'true' || value === 'false') return value === 'true';
  throw new Error(`must be true or false, got ${JSON.stringify(value)}`);
};

const oneOf =
  <T extends string>(values: readonly T[]) =>
  (value: string): T => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw new Error(`must be one of ${values.join(', ')}, got ${JSON.stringify(value)}`);
    return found;
  };

const list = (value: string): string[] =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

const providers = (value: string): 'auto' | Provider[] => {
  if (value === 'auto') return 'auto';
  const names = list(value).map(oneOf(PROVIDERS));
  if (names.length === 0) throw new Error(`must be auto or a list of ${PROVIDERS.join(', ')}`);
  return names;
};

/** `secret:scope+scope,…` */
const apiKeys = (value: string): ApiKey[] => {
  if (value !== '' && list(value).length === 0) throw new Error('holds no key; unset it to serve without keys, on loopback only');
  const secrets = list(value).map((entry) => entry.split(':')[0]);
  const repeated = secrets.findIndex((secret, n) => secrets.indexOf(secret) < n);
  if (repeated >= 0) throw new Error(`key ${repeated + 1} has the secret of an earlier one`);
  return list(value).map((entry, position) => {
    const [secret = '', scopes = '', ...rest] = entry.split(':');
    // never repeat the entry itself in the message: it holds the secret
    if (secret.length < 8 || scopes === '' || rest.length > 0) {
      throw new Error(`key ${position + 1} must look like secret:scope+scope with a secret of at least 8 characters`);
    }
    const wrong = scopes.split('+').find((scope) => !(SCOPES as readonly string[]).includes(scope));
    if (wrong !== undefined) throw new Error(`key ${position + 1} has the scope ${JSON.stringify(wrong)}; known are ${SCOPES.join(', ')}`);
    return { secret, scopes: scopes.split('+').map(oneOf(SCOPES)) };
  });
};

/** Origins as browsers send them, or `*`. */
const origins = (value: string): string[] =>
  list(value).map((origin) => {
    if (origin !== '*' && !(URL.canParse(origin) && new URL(origin).origin === origin))
      throw new Error(`must be * or origins as https://shop.example, without a path, got ${JSON.stringify(origin)}`);
    return origin;
  });

/** IP addresses, each with an optional prefix length. */
const networks = (value: string): string[] =>
  list(value).map((network) => {
    const [address = '', prefix, ...rest] = network.split('/');
    const maximum = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
    const length = prefix === undefined ? 0 : /^\d+$/.test(prefix) ? Number(prefix) : Infinity;
    if (length > maximum || rest.length > 0) throw new Error(`must be IP addresses or networks as 10.0.0.0/8, got ${JSON.stringify(network)}`);
    return network;
  });

const webAddress = (value: string): string => {
  if (value === '') return value;
  const protocol = URL.canParse(value) ? new URL(value).protocol : null;
  if (protocol !== 'http:' && protocol !== 'https:') throw new Error(`must be an http or https address, got ${JSON.stringify(value)}`);
  return value;
};

const databaseUrl = (value: string): string => {
  if (value === '') return value;
  // never repeat the address itself in the message: it may hold a password
  if (!/^postgres(ql)?:\/\/[^/]+\/[^/]+$/.test(value)) throw new Error('must look like postgres://user:password@host:5432,second:5432/database');
  return value;
};

/** The whole environment of the server. Names are prefixed with REELFUSE_ and written in capitals, but for those of OpenTelemetry. */
const SETTINGS = {
  host: setting('127.0.0.1', text, 'Address to listen on. Without API keys it must be a loopback address.'),
  port: setting('8080', integer(0, 65535), 'Port to listen on. 0: a free port, which the server prints.'),
  dataDir: setting(
    './data',
    (value) => (value === '' ? './data' : value),
    'Folder of the database, snapshots and the served log. Created if missing.',
  ),
  databaseUrl: {
    ...setting(
      '',
      databaseUrl,
      'Address of a PostgreSQL database that any number of servers share, as postgres://user:password@host:5432,standby:5432/reelfuse. Unset: SQLite in the data folder.',
    ),
    secret: true as const,
  },
  databaseConnections: setting('10', integer(3, 1000), 'Maximum number of connections to PostgreSQL, besides the two of the change feed.'),
  leaseSeconds: setting(
    '10',
    integer(1, 300),
    'Time for which a server over PostgreSQL may serve without reaching it, s. An acknowledged delete waits as long for a server that has died.',
  ),
  staleAnswers: setting(
    'refuse',
    oneOf(['refuse', 'serve'] as const),
    'What a server answers whose lease has ended: refuse, with 503, or serve, marked as stale, perhaps with deleted items.',
  ),
  modelDir: setting('', text, 'Folder of an artifact or of a training run. Unset with an empty data folder: the bundled demo.'),
  executionProviders: setting('auto', providers, 'Execution providers in order of preference: cuda, webgpu, cpu. auto: the first that works.'),
  requireGpu: setting('false', flag, 'Whether to refuse a start in which a tower would not run on a GPU.'),
  recommenderWorkers: setting(
    '0',
    integer(0, 256),
    'Number of threads for user tower and search. 0: number of processors, in a container those that it is given, less one.',
  ),
  apiKeys: {
    ...setting('', apiKeys, 'API keys as secret:scope+scope,… with the scopes recommend, write, admin, metrics. Unset: no keys, loopback only.'),
    secret: true as const,
  },
  keyRequestsPerSecond: setting('0', integer(0, 1_000_000), 'Maximum number of requests per second of each API key; more get 429. 0: unlimited.'),
  keyMibPerMinute: setting(
    '0',
    integer(0, 1_000_000),
    'Maximum size of all request bodies per minute of each API key, MiB; further requests get 429. 0: unlimited.',
  ),
  trustedProxies: setting(
    '',
    networks,
    'Addresses or networks of proxies whose X-Forwarded-For names the caller, as 10.0.0.0/8,… Unset: the caller is the peer of the connection.',
  ),
  corsOrigins: setting('', origins, 'Origins whose pages may call the API from a browser, as https://shop.example,… or *. Unset: none but its own.'),
  maxConnections: setting('10000', integer(1, 1_000_000), 'Maximum number of open connections. A further one is closed at once.'),
  logLevel: setting('info', oneOf(LOG_LEVELS), `Log level: ${LOG_LEVELS.join(', ')}.`),
  bodyLimitMb: setting(
    '64',
    integer(1, 1024),
    'Maximum size of a request body after decompression, MiB. Most routes take less: see docs/guarantees.md.',
  ),
  userTowerPrecision: setting(
    'auto',
    oneOf(['auto', 'float32'] as const),
    'Precision of the user tower: auto or float32. auto: 8 bits on a CPU where the artifact has them; exact requests use float32 anyway.',
  ),
  maxBatch: setting('16', integer(1, 1024), 'Maximum number of requests in one run of the user tower.'),
  maxQueue: setting('1024', integer(1, 1_000_000), 'Maximum number of requests that wait for a recommender before a new one gets 503.'),
  maxWaitMs: setting('40', integer(1, 60_000), 'Maximum expected wait before a new request gets 503, ms.'),
  maxItemQueue: setting(
    '8192',
    integer(1, 1_000_000),
    'Maximum number of item writes in progress before a new one gets 503. Each holds its hidden states in memory.',
  ),
  maxEventQueue: setting(
    '100000',
    integer(1, 100_000_000),
    'Maximum number of events that wait for the disk before a new call gets 503. A call of any size is accepted when none waits.',
  ),
  hnswM: setting('16', integer(4, 128), 'Number of links of an HNSW node. More: higher recall, more memory.'),
  hnswEfConstruction: setting('200', integer(8, 2000), 'Number of candidates that HNSW examines while building. More: higher recall, slower build.'),
  hnswEf: setting('128', integer(8, 2000), 'Minimum number of candidates that HNSW examines while searching. More: higher recall, slower search.'),
  swapMinRecall: setting('0.9', number(0, 1), 'Minimum recall@20 of a new model’s index against exact search. Below it the model is refused.'),
  swapMinCoverage: setting(
    '0.9',
    number(0, 1),
    'Minimum share of the now searchable items that a new model makes searchable. Below it the model is refused.',
  ),
  recallCheckSeconds: setting('60', integer(0, 86_400), 'Interval between recall self-checks against exact search, s. 0: none.'),
  snapshotMinutes: setting(
    '15',
    integer(0, 35_000),
    'Interval between snapshots of the index while items change, min. 0: only at shutdown and on request.',
  ),
  storeCheckHours: setting(
    '24',
    integer(0, 10_000),
    'Interval between checks of the whole store for damage, h. Each reads slowly in the background. 0: none.',
  ),
  snapshotsKept: setting('2', integer(1, 100), 'Number of snapshots that are kept.'),
  servedDays: setting('7', integer(0, 100_000), 'Retention of answers for replay and reports, days. 0: none are kept.'),
  cursorMinutes: setting('60', integer(1, 100_000), 'Lifetime of a feed’s cursor, min.'),
  cursorSecret: {
    ...setting('', text, 'Secret that signs cursors. Servers that share feeds need the same one. Unset: a random one, kept in the data folder.'),
    secret: true as const,
  },
  explorationBudget: setting('200', integer(1, 1_000_000_000), 'Number of impressions after which a new item is no longer explored.'),
  explorationDays: setting('7', number(0.01, 100_000), 'Age after which a new item is no longer explored, days.'),
  positiveEvents: setting(
    'view,replay,like,share,save,comment,follow',
    (value) => list(value).map(oneOf(EVENT_NAMES)),
    'Types of events that put their item into the history.',
  ),
  erasureWaitSeconds: setting(
    '10',
    integer(0, 600),
    'Maximum wait of an erasure for clean files before it answers 202 and continues in the background, s.',
  ),
  eventRetentionDays: setting('0', integer(0, 100_000), 'Retention of events, days. 0: unlimited.'),
  positiveWatchPortion: setting('0.5', number(0, 1), 'Minimum watched portion of a positive view.'),
  positiveWatchMs: setting(
    '3000',
    integer(0, 3_600_000),
    'Minimum watch time of a positive view whose clip has no known duration, ms. The duration is known from the event or from the attribute duration_s.',
  ),
  historyCacheItems: setting(
    '1000000',
    integer(0, 1_000_000_000),
    'Capacity of the cache of user histories, items. An item takes about 70 bytes. 0: no cache.',
  ),
  userVectorMib: setting('16', integer(0, 1_000_000), 'Capacity of each recommender’s cache of user vectors, MiB. 0: no cache.'),
  popularityHalfLifeHours: setting('168', number(0.1, 100_000), 'Half-life of an event in the fallback ranking, h.'),
  otlpEndpoint: {
    ...setting('', webAddress, 'URL of an OTLP/HTTP receiver of traces, as http://collector:4318. Unset: no traces.'),
    variable: 'OTEL_EXPORTER_OTLP_ENDPOINT',
  },
  otlpProtocol: {
    ...setting(
      'http/json',
      oneOf(['http/json', 'http/protobuf'] as const),
      'Protocol of traces: http/json or http/protobuf. Either sends JSON, which every such receiver understands. grpc is not supported.',
    ),
    variable: 'OTEL_EXPORTER_OTLP_PROTOCOL',
  },
  serviceName: { ...setting('reelfuse', text, 'Name of this server in its traces.'), variable: 'OTEL_SERVICE_NAME' },
  tracesSampler: {
    ...setting('parentbased_always_on', oneOf(SAMPLERS), `Sampler of traces: ${SAMPLERS.join(', ')}. parentbased_…: as the caller decided.`),
    variable: 'OTEL_TRACES_SAMPLER',
  },
  tracesSamplerArg: {
    ...setting('1', number(0, 1), 'Share of requests that a traceidratio sampler takes, 0 to 1.'),
    variable: 'OTEL_TRACES_SAMPLER_ARG',
  },
} satisfies Record<string, Setting<unknown>>;

type Settings = typeof SETTINGS;
export type Config = { readonly [K in keyof Settings]: ReturnType<Settings[K]['parse']> } & {
  /** The file of the API keys, which may change while the server runs. Null: they were set directly. */
  readonly apiKeysFile: string | null;
};

const PREFIX = 'REELFUSE_';
const variable = (key: string): string => PREFIX + key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/** What Kubernetes (service links) and Docker (--link) set for a service that is named reelfuse or reelfuse-…: name and value. */
const SERVICE_LINKS: readonly (readonly [name: RegExp, isValue: (value: string) => boolean])[] = [
  [/_SERVICE_HOST$/, (value) => isIP(value) !== 0],
  [/_SERVICE_PORT(_[A-Z0-9_]+)?$/, (value) => /^\d+$/.test(value)],
  [/_PORT(_\d+_(TCP|UDP|SCTP))?$/, (value) => /^(tcp|udp|sctp):\/\/\S+:\d+$/.test(value)],
  [/_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$/, () => true],
  [/_NAME$/, (value) => /^\/[^/]+\/[^/]+$/.test(value)],
];

/** Variables that an orchestrator has set for a service of our name. They are not settings. */
export function serviceLinks(environment: NodeJS.ProcessEnv = process.env): string[] {
  const names = Object.keys(environment).filter((name) => name.startsWith(PREFIX));
  const links = names.filter((name) => SERVICE_LINKS.some(([form, isValue]) => form.test(name) && isValue(environment[name] ?? '')));
  // Docker also passes on the environment of a linked container
  const passedOn = links.filter((name) => name.endsWith('_NAME')).map((name) => name.replace(/NAME$/, 'ENV_'));
  return [...links, ...names.filter((name) => passedOn.some((start) => name.startsWith(start)))].sort();
}

/** Whether systemd, or another supervisor with its protocol, wants to be told when the server is ready. */
export const isNotified = (environment: NodeJS.ProcessEnv = process.env): boolean => (environment.NOTIFY_SOCKET ?? '') !== '';

/**
 * Reads REELFUSE_… variables and those of OpenTelemetry that the server knows.
 * @throws ConfigError naming the variable: unknown, malformed, or keys missing for a public address
 */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const known = new Set<string>();
  const links = new Set(serviceLinks(environment));
  const config: Record<string, unknown> = { apiKeysFile: environment.REELFUSE_API_KEYS_FILE ?? null };
  for (const [key, definition] of Object.entries<Setting<unknown>>(SETTINGS)) {
    const name = definition.variable ?? variable(key);
    known.add(name);
    let value = links.has(name) ? undefined : environment[name];
    if (definition.secret) {
      known.add(`${name}_FILE`);
      const file = environment[`${name}_FILE`];
      if (file !== undefined) {
        if (value !== undefined) throw new ConfigError(`${name} and ${name}_FILE are both set`);
        value = readSecret(`${name}_FILE`, file);
      }
    }
    try {
      config[key] = definition.parse(value ?? definition.fallback);
    } catch (error) {
      throw new ConfigError(`${name} ${messageOf(error)}`, { cause: error });
    }
  }
  for (const name of Object.keys(environment)) {
    if (name.startsWith(PREFIX) && !known.has(name) && !links.has(name))
      throw new ConfigError(`${name} is not a setting; known are ${[...known].join(', ')}`);
  }
  const checked = config as Config; // every key was filled by its own parser above
  if (checked.apiKeys.length === 0 && !LOOPBACK.has(checked.host)) {
    throw new ConfigError(`REELFUSE_HOST is ${checked.host}, but without REELFUSE_API_KEYS only a loopback address is allowed`);
  }
  return checked;
}

/** @throws Error with a reason that names no secret */
export const readApiKeys = (file: string): ApiKey[] => apiKeys(readSecret('REELFUSE_API_KEYS_FILE', file));

function readSecret(name: string, file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`${name} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  // not as if it were unset: without keys the server is open
  if (text === '') throw new ConfigError(`${name} names a file that is empty; unset it if that is what you mean`);
  return text;
}

/** Names of the variables that are set, for `reelfuse doctor`; their values may be secrets. */
export function settingsInUse(environment: NodeJS.ProcessEnv = process.env): string[] {
  const links = new Set(serviceLinks(environment));
  return Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX) && !links.has(name))
    .sort();
}

/** One row a setting, for `reelfuse serve --help` and the README. */
export const describeSettings = (): { name: string; fallback: string; doc: string }[] =>
  Object.entries<Setting<unknown>>(SETTINGS).map(([key, setting]) => ({
    name: setting.variable ?? variable(key),
    fallback: setting.fallback,
    doc: setting.doc,
  }));
