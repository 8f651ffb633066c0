import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { ConnectionError, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { ReelfuseError, invalidRequest } from '../errors.js';
import { fieldErrors } from '../schema.js';

export const FieldErrorSchema = Type.Object({ pointer: Type.String(), detail: Type.String() });

/** Problem details of RFC 9457. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.String(),
    request_id: Type.String(),
    errors: Type.Optional(Type.Array(FieldErrorSchema)),
  },
  { title: 'Problem', description: 'RFC 9457 problem details' },
);

/** Responses of every route for errors. */
export const problemResponses = { '4xx': Problem, '5xx': Problem };

const TITLES: Record<number, string> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition failed',
  413: 'Content too large',
  414: 'URI too long',
  415: 'Unsupported media type',
  422: 'Unprocessable content',
  429: 'Too many requests',
  431: 'Request header fields too large',
  503: 'Service unavailable',
  507: 'Insufficient storage',
};

/** Fastify's own errors by their code. */
const FRAMEWORK: Record<string, [status: number, code: string]> = {
  FST_ERR_CTP_INVALID_JSON_BODY: [400, 'malformed_json'],
  FST_ERR_CTP_EMPTY_JSON_BODY: [400, 'malformed_json'],
  FST_ERR_CTP_BODY_TOO_LARGE: [413, 'body_too_large'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, 'unsupported_media_type'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, 'invalid_content_length'],
};

/** Maximum size of query string and headers. A cursor that has shown 5,000 items fits. Proxies often allow less. */
export const MAX_HEADER_BYTES = 64 * 1024;

/** Errors of Node's HTTP parser by their code. */
const PARSER: Record<string, [status: number, code: string, detail: string]> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'headers_too_large',
    `query string and headers are larger than ${MAX_HEADER_BYTES} bytes; send long options and cursors by POST`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'request_timeout', 'the request did not arrive in time'],
};

/** The error that the caller sees. An unexpected error becomes 500 `internal_error` without its message. */
export function toReelfuseError(error: FastifyError | ReelfuseError): ReelfuseError {
  if (error instanceof ReelfuseError) return error;
  if (error.validation !== undefined) {
    const where = error.validationContext === 'querystring' ? '/query' : error.validationContext === 'params' ? '/path' : '';
    return invalidRequest(fieldErrors(error.validation as Parameters<typeof fieldErrors>[0], where));
  }
  const known = FRAMEWORK[error.code];
  if (known !== undefined) return new ReelfuseError(known[0], known[1], error.message, { cause: error });
  const status = error.statusCode;
  if (error instanceof SyntaxError && status === 400) return new ReelfuseError(400, 'malformed_json', error.message, { cause: error });
  if (status !== undefined && status >= 400 && status < 500) return new ReelfuseError(status, 'bad_request', error.message, { cause: error });
  return new ReelfuseError(500, 'internal_error', 'the server failed; the log has the details under this request id', { cause: error });
}

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

export const problemBody = (error: ReelfuseError, requestId: string) => ({
  type: `urn:reelfuse:problem:${error.code}`,
  title: TITLES[error.status] ?? 'Internal error',
  status: error.status,
  code: error.code,
  detail: error.message,
  request_id: requestId,
  ...(error.errors.length > 0 && { errors: error.errors }),
});

function send(error: ReelfuseError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.retryAfter !== undefined) void reply.header('retry-after', String(error.retryAfter));
  if (error.status === 401) void reply.header('www-authenticate', 'Bearer');
  const body = problemBody(error, request.id);
  return reply.status(error.status).header('content-type', PROBLEM_TYPE).serializer(JSON.stringify).send(body);
}

/** Turns every error of a route into a problem response. */
export function registerProblems(app: FastifyInstance): void {
  app.setErrorHandler<FastifyError | ReelfuseError>((error, request, reply) => {
    const known = toReelfuseError(error);
    if (known.status >= 500 && known.code === 'internal_error') request.log.error({ err: error, request_id: request.id }, 'request failed');
    return send(known, request, reply);
  });
  app.setNotFoundHandler((request, reply) =>
    send(new ReelfuseError(404, 'route_not_found', `there is no ${request.method} ${request.url.split('?')[0]}`), request, reply),
  );
}

/** Answers a request whose URL is malformed. */
export function refuseUrl(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  void reply.header('x-request-id', request.id);
  void send(toReelfuseError(error), request, reply);
}

/** Answers input that the HTTP parser refuses with a problem, and closes the connection. */
export function refuseConnection(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code, detail] = PARSER[error.code] ?? [400, 'malformed_http', 'the request is not HTTP/1.1'];
  const body = JSON.stringify(problemBody(new ReelfuseError(status, code, detail), randomUUID()));
  const head = `HTTP/1.1 ${status} ${TITLES[status] ?? ''}\r\nconnection: close\r\ncontent-type: ${PROBLEM_TYPE}\r\n`;
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
