import compress from '@fastify/compress';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { LogController } from 'fastify';
import { createAdmission, createGuardedServer } from './http/admission.js';
import { openToAll, registerAuth } from './http/auth.js';
import { registerConsole } from './http/console.js';
import { describeErrors } from './http/error-codes.js';
import { registerEvents } from './http/events.js';
import { registerItemBatch } from './http/item-batch.js';
import { registerItems } from './http/items.js';
import { registerMap } from './http/map.js';
import { registerModels } from './http/models.js';
import { registerObservation, requestId } from './http/observe.js';
import { registerOperations } from './http/operations.js';
import { MAX_HEADER_BYTES, refuseConnection, refuseUrl, registerProblems } from './http/problem.js';
import { registerSnapshots } from './http/snapshots.js';
import { registerRecommendations } from './http/recommendations.js';
import { registerReports } from './http/reports.js';
import { registerTracing } from './http/tracing.js';
import type { TypedApp } from './http/typed-app.js';
import { registerUsers } from './http/users.js';
import { validatorCompiler } from './http/validation.js';
import { PACKAGE_VERSION } from './package-root.js';
import type { Services } from './composition/embedded.js';

const COMPRESS_FROM_BYTES = 4096;

const DESCRIPTION = `Online recommendations of micro-videos by Dual Feature Fusion.\n\n${describeErrors()}`;

/** Builds the HTTP interface over open services; does not listen. */
export async function buildApp(services: Services): Promise<TypedApp> {
  const { config, metrics, log } = services;
  const admission = createAdmission({ maxOpen: config.maxQueue, maxWaitMs: config.maxWaitMs, always: 2 * config.maxBatch });
  const app = Fastify({
    loggerInstance: log,
    serverFactory: (handle, { http }) => createGuardedServer(http ?? {}, handle, admission, metrics, log),
    // observe.ts logs one line a request, without user ids
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: requestId,
    // a child logger for each request costs more than the line that it writes: the lines name the request themselves
    childLoggerFactory: (logger, bindings, options) =>
      options.level === undefined || options.level === '' ? logger : logger.child(bindings, options),
    bodyLimit: config.bodyLimitMb * 1024 * 1024,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 1024 },
    http: { maxHeaderSize: MAX_HEADER_BYTES },
    clientErrorHandler: refuseConnection,
    frameworkErrors: refuseUrl,
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as TypedApp; // the logger's type differs, its interface does not

  app.setValidatorCompiler(validatorCompiler);
  app.addContentTypeParser('application/x-ndjson', (_request, payload, done) => done(null, payload));

  registerProblems(app);
  registerObservation(app, metrics);
  if (services.tracing !== null) registerTracing(app, services.tracing);
  registerAuth(app, config.apiKeys);
  await app.register(compress, { threshold: COMPRESS_FROM_BYTES, encodings: ['gzip'], requestEncodings: ['gzip'] });
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
  await app.register(async (scope) => {
    const routes = scope as unknown as TypedApp; // plugins lose the type provider
    registerRecommendations(routes, services);
    registerItems(routes, services);
    registerItemBatch(routes, services);
    registerEvents(routes, services);
    registerUsers(routes, services);
    registerMap(routes, services);
    registerModels(routes, services);
    registerReports(routes, services);
    registerSnapshots(routes, services);
    registerOperations(routes, services);
  });
  app.get('/openapi.json', { config: { scope: 'public' }, schema: { hide: true } }, async () => app.swagger());
  await registerConsole(app as never);
  await app.ready();
  return app;
}
