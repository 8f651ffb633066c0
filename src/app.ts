import compress from '@fastify/compress';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { LogController } from 'fastify';
import type { Logger } from 'pino';
import type { Config } from './config.js';
import { MAX_ID_URL_LENGTH } from './ids.js';
import { createAdmission, createGuardedServer } from './http/admission.js';
import { createKeyRing, followKeyFile } from './http/api-keys.js';
import { registerAttributes, type AttributeRoutes } from './http/attributes.js';
import { openToAll, registerAuth } from './http/auth.js';
import { registerGunzip } from './http/body/gzip.js';
import { registerJsonBodies } from './http/body/json-body.js';
import { MIB } from './http/body/limits.js';
import { registerConsole } from './http/console.js';
import { registerCors } from './http/cors.js';
import { describeErrors } from './http/error-codes.js';
import { registerEvents, type EventRoutes } from './http/events.js';
import { registerItemBatch, type ItemBatchRoutes } from './http/item-batch.js';
import { registerItems, type ItemRoutes } from './http/items.js';
import { registerMap, type MapRoutes } from './http/map.js';
import { registerMethods } from './http/methods.js';
import { registerModels, type ModelRoutes } from './http/models.js';
import { registerObservation, requestId } from './http/observe.js';
import { registerOperations, type OperationRoutes } from './http/operations.js';
import { MAX_HEADER_BYTES, refuseConnection, refuseUrl, registerProblems } from './http/problem.js';
import { registerProtocol } from './http/protocol.js';
import { registerRecommendations, type RecommendationRoutes } from './http/recommendations.js';
import { registerReplicas, type ReplicaRoutes } from './http/replicas.js';
import { registerReports, type ReportRoutes } from './http/reports.js';
import { registerSnapshots, type SnapshotRoutes } from './http/snapshots.js';
import { registerTracing } from './http/tracing.js';
import type { TypedApp } from './http/typed-app.js';
import { registerUsers, type UserRoutes } from './http/users.js';
import { validatorCompiler } from './http/validation.js';
import type { Metrics } from './metrics.js';
import { PACKAGE_VERSION } from './package-root.js';
import type { Tracing } from './tracing.js';
import { createTurnstile } from './turnstile.js';

const COMPRESS_FROM_BYTES = 4096;

const DESCRIPTION = `Online recommendations of micro-videos by Dual Feature Fusion.\n\n${describeErrors()}`;

/** What each file of routes needs; the composition root fills it. */
export interface Routes {
  recommendations: RecommendationRoutes;
  items: ItemRoutes;
  itemBatch: ItemBatchRoutes;
  attributes: AttributeRoutes;
  events: EventRoutes;
  users: UserRoutes;
  map: MapRoutes;
  models: ModelRoutes;
  reports: ReportRoutes;
  replicas: ReplicaRoutes;
  snapshots: SnapshotRoutes;
  operations: OperationRoutes;
}

export interface AppSetup {
  config: Pick<
    Config,
    | 'apiKeys'
    | 'apiKeysFile'
    | 'bodyLimitMb'
    | 'corsOrigins'
    | 'keyMibPerMinute'
    | 'keyRequestsPerSecond'
    | 'maxBatch'
    | 'maxConnections'
    | 'maxQueue'
    | 'maxWaitMs'
    | 'trustedProxies'
  >;
  log: Logger;
  metrics: Metrics;
  /** Null: no request is traced. */
  tracing: Tracing | null;
}

/** Builds the HTTP interface; does not listen. No route touches what it needs before its first request. */
export async function buildApp({ config, log, metrics, tracing }: AppSetup, routes: Routes): Promise<TypedApp> {
  const admission = createAdmission({ maxOpen: config.maxQueue, maxWaitMs: config.maxWaitMs, always: 2 * config.maxBatch });
  const app = Fastify({
    loggerInstance: log,
    serverFactory: (handle, { http }) =>
      createGuardedServer({ ...(http ?? {}), maxConnections: config.maxConnections }, handle, admission, metrics, log),
    // observe.ts logs one line for each request, without user ids
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: requestId,
    // a child logger for each request costs more than the line that it writes, so the lines carry the request id
    childLoggerFactory: (logger, bindings, options) =>
      options.level === undefined || options.level === '' ? logger : logger.child(bindings, options),
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: MAX_ID_URL_LENGTH },
    http: { maxHeaderSize: MAX_HEADER_BYTES },
    clientErrorHandler: refuseConnection,
    frameworkErrors: refuseUrl,
    ...(config.trustedProxies.length > 0 && { trustProxy: [...config.trustedProxies] }),
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as TypedApp; // the logger's type differs, its interface does not

  app.setValidatorCompiler(validatorCompiler);
  registerGunzip(app);
  registerJsonBodies(app, config.bodyLimitMb, createTurnstile());

  registerProblems(app);
  registerMethods(app);
  registerObservation(app, metrics);
  if (tracing !== null) registerTracing(app, tracing);
  registerProtocol(app);
  registerCors(app, config.corsOrigins);
  const keys = createKeyRing(config.apiKeys, {
    requestsPerSecond: config.keyRequestsPerSecond,
    bytesPerMinute: config.keyMibPerMinute * MIB,
  });
  registerAuth(app, keys, metrics);
  if (config.apiKeysFile !== null) {
    const stop = followKeyFile(config.apiKeysFile, keys, log);
    app.addHook('onClose', async () => stop());
  }
  await app.register(compress, { threshold: COMPRESS_FROM_BYTES, encodings: ['gzip'], globalDecompression: false });
  await registerDescription(app);
  await app.register(async (scope) => registerRoutes(scope as unknown as TypedApp, routes)); // plugins lose the type provider
  app.get('/openapi.json', { config: { scope: 'public' }, schema: { hide: true } }, async () => app.swagger());
  await registerConsole(app as never);
  await app.ready();
  return app;
}

async function registerDescription(app: TypedApp): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'reelfuse', version: PACKAGE_VERSION, description: DESCRIPTION, license: { name: 'MIT' } },
      components: { securitySchemes: { api_key: { type: 'http', scheme: 'bearer' } } },
      security: [{}, { api_key: [] }],
    },
  });
  await app.register(async (scope) => {
    openToAll(scope as never);
    await scope.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, logLevel: 'warn' });
  });
}

function registerRoutes(app: TypedApp, routes: Routes): void {
  registerRecommendations(app, routes.recommendations);
  registerItems(app, routes.items);
  // in a scope, so that no other route takes a stream
  void app.register(async (scope) => {
    scope.addContentTypeParser('application/x-ndjson', (_request, payload, done) => done(null, payload));
    registerItemBatch(scope as unknown as TypedApp, routes.itemBatch);
  });
  registerAttributes(app, routes.attributes);
  registerEvents(app, routes.events);
  registerUsers(app, routes.users);
  registerMap(app, routes.map);
  registerModels(app, routes.models);
  registerReports(app, routes.reports);
  registerReplicas(app, routes.replicas);
  registerSnapshots(app, routes.snapshots);
  registerOperations(app, routes.operations);
}
