import { readFileSync } from 'node:fs';
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
const apiKeys = (value: string): ApiKey[] =>
  list(value).map((entry, position) => {
    const [secret = '', scopes = '', ...rest] = entry.split(':');
    // never repeat the entry itself in the message: it holds the secret
    if (secret.length < 8 || scopes === '' || rest.length > 0) {
      throw new Error(`key ${position + 1} must look like secret:scope+scope with a secret of at least 8 characters`);
    }
    return { secret, scopes: scopes.split('+').map(oneOf(SCOPES)) };
  });

const webAddress = (value: string): string => {
  if (value === '') return value;
  const protocol = URL.canParse(value) ? new URL(value).protocol : null;
  if (protocol !== 'http:' && protocol !== 'https:') throw new Error(`must be an http or https address, got ${JSON.stringify(value)}`);
  return value;
};

/** The whole environment of the server. Names are prefixed with REELFUSE_ and written in capitals, but for those of OpenTelemetry. */
const SETTINGS = {
  host: setting('127.0.0.1', text, 'address to listen on; without API keys only a loopback address is accepted'),
  port: setting('8080', integer(0, 65535), 'port to listen on; 0 picks a free one and prints it'),
  dataDir: setting('./data', text, 'folder of the database; made if missing'),
  modelDir: setting('', text, 'an artifact, or a training run that holds one; unset and an empty DATA_DIR: the bundled demo'),
  executionProviders: setting('auto', providers, 'ordered list of cuda, webgpu, cpu; auto takes the best that loads'),
  requireGpu: setting('false', flag, 'refuse to start when a tower would not run on a GPU'),
  recommenderWorkers: setting('0', integer(0, 256), 'threads for user tower and search; 0: one per core, less one for HTTP'),
  apiKeys: { ...setting('', apiKeys, 'secret:scope+scope,… with the scopes recommend, write, admin, metrics'), secret: true as const },
  logLevel: setting('info', oneOf(LOG_LEVELS), `one of ${LOG_LEVELS.join(', ')}`),
  bodyLimitMb: setting('64', integer(1, 1024), 'largest request body after decompression, MiB'),
  userTowerPrecision: setting(
    'auto',
    oneOf(['auto', 'float32'] as const),
    'auto: on a CPU the 8-bit user tower of the artifact, where it has one; requests with exact take the float32 one anyway',
  ),
  maxBatch: setting('16', integer(1, 1024), 'most requests that one user tower run takes together'),
  maxQueue: setting('1024', integer(1, 1_000_000), 'requests that may wait for a recommender before new ones get 503'),
  maxWaitMs: setting(
    '40',
    integer(1, 60_000),
    'requests for recommendations get 503 while those before them would keep them waiting for longer, milliseconds',
  ),
  maxItemQueue: setting(
    '8192',
    integer(1, 1_000_000),
    'writes of items that may be on their way through item tower and store before new ones get 503; each holds its hidden states',
  ),
  maxEventQueue: setting(
    '100000',
    integer(1, 100_000_000),
    'events that may wait for the disk before new ones get 503; a call is taken whatever its size when nothing waits',
  ),
  hnswM: setting('16', integer(4, 128), 'HNSW links per node'),
  hnswEfConstruction: setting('200', integer(8, 2000), 'HNSW candidates looked at while building'),
  hnswEf: setting('128', integer(8, 2000), 'HNSW candidates looked at while searching; never less than what is fetched'),
  swapMinRecall: setting('0.9', number(0, 1), 'a new model is refused when recall@20 of its index against exact search is lower'),
  swapMinCoverage: setting('0.9', number(0, 1), 'a new model is refused when it makes fewer items searchable than this share of those that are now'),
  recallCheckSeconds: setting('60', integer(0, 86_400), 'every so often a few queries are compared with exact search; 0: never'),
  snapshotMinutes: setting('15', integer(0, 35_000), 'minutes between snapshots of the index while items change; 0: only at shutdown or when asked'),
  snapshotsKept: setting('2', integer(1, 100), 'snapshots of the index that are kept'),
  servedDays: setting('7', integer(0, 100_000), 'days that answers are kept for replay and reports; 0 keeps none'),
  cursorMinutes: setting('60', integer(1, 100_000), 'minutes until the cursor of a feed expires'),
  cursorSecret: {
    ...setting('', text, 'signs cursors; replicas that share a feed need the same one. Unset: one is made and kept in the data folder'),
    secret: true as const,
  },
  explorationBudget: setting('200', integer(1, 1_000_000_000), 'a new item is explored until it had so many impressions'),
  explorationDays: setting('7', number(0.01, 100_000), 'and while it is younger than so many days'),
  positiveEvents: setting(
    'view,replay,like,share,save,comment,follow',
    (value) => list(value).map(oneOf(EVENT_NAMES)),
    'events that make their item part of the history',
  ),
  erasureWaitSeconds: setting(
    '10',
    integer(0, 600),
    'an erasure waits so long for clean files, which a backup may hold up, before it is answered by 202 and goes on by itself',
  ),
  eventRetentionDays: setting('0', integer(0, 100_000), 'events older than this many days are deleted; 0 keeps them'),
  positiveWatchPortion: setting('0.5', number(0, 1), 'a view counts as positive from this watched portion on'),
  positiveWatchMs: setting(
    '3000',
    integer(0, 3_600_000),
    'and from so many watched milliseconds on, when neither the event nor the attribute duration_s of its item says how long the clip is',
  ),
  historyCacheItems: setting('1000000', integer(0, 1_000_000_000), 'items of user histories kept in memory, about 70 bytes each; 0: none'),
  userVectorMib: setting(
    '16',
    integer(0, 1_000_000),
    'memory of each recommender for the vectors of users whose history stays the same from one request to the next, MiB; 0: none',
  ),
  popularityHalfLifeHours: setting('168', number(0.1, 100_000), 'half-life of an event in the fallback ranking, hours'),
  otlpEndpoint: {
    ...setting('', webAddress, 'an OTLP/HTTP receiver, as in http://collector:4318: each request becomes a trace; unset: none does'),
    variable: 'OTEL_EXPORTER_OTLP_ENDPOINT',
  },
  otlpProtocol: {
    ...setting(
      'http/json',
      oneOf(['http/json', 'http/protobuf'] as const),
      'traces travel as JSON over HTTP, which a receiver of http/protobuf understands too; grpc is not spoken',
    ),
    variable: 'OTEL_EXPORTER_OTLP_PROTOCOL',
  },
  serviceName: { ...setting('reelfuse', text, 'the name of this server in its traces'), variable: 'OTEL_SERVICE_NAME' },
  tracesSampler: {
    ...setting(
      'parentbased_always_on',
      oneOf(SAMPLERS),
      `which requests are traced, one of ${SAMPLERS.join(', ')}; parentbased: as the caller decided`,
    ),
    variable: 'OTEL_TRACES_SAMPLER',
  },
  tracesSamplerArg: { ...setting('1', number(0, 1), 'the share of requests that a traceidratio sampler takes'), variable: 'OTEL_TRACES_SAMPLER_ARG' },
} satisfies Record<string, Setting<unknown>>;

type Settings = typeof SETTINGS;
export type Config = { readonly [K in keyof Settings]: ReturnType<Settings[K]['parse']> };

const PREFIX = 'REELFUSE_';
const variable = (key: string): string => PREFIX + key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/**
 * Reads REELFUSE_… variables and those of OpenTelemetry that the server knows.
 * @throws ConfigError naming the variable: unknown, malformed, or keys missing for a public address
 */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const known = new Set<string>();
  const config: Record<string, unknown> = {};
  for (const [key, definition] of Object.entries<Setting<unknown>>(SETTINGS)) {
    const name = definition.variable ?? variable(key);
    known.add(name);
    let value = environment[name];
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
    if (name.startsWith(PREFIX) && !known.has(name)) throw new ConfigError(`${name} is not a setting; known are ${[...known].join(', ')}`);
  }
  const checked = config as Config; // every key was filled by its own parser above
  if (checked.apiKeys.length === 0 && !LOOPBACK.has(checked.host)) {
    throw new ConfigError(`REELFUSE_HOST is ${checked.host}, but without REELFUSE_API_KEYS only a loopback address is allowed`);
  }
  return checked;
}

function readSecret(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`${name} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** Names of the variables that are set, for `reelfuse doctor`; their values may be secrets. */
export const settingsInUse = (environment: NodeJS.ProcessEnv = process.env): string[] =>
  Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX))
    .sort();

/** One row a setting, for `reelfuse serve --help` and the README. */
export const describeSettings = (): { name: string; fallback: string; doc: string }[] =>
  Object.entries<Setting<unknown>>(SETTINGS).map(([key, setting]) => ({
    name: setting.variable ?? variable(key),
    fallback: setting.fallback,
    doc: setting.doc,
  }));
