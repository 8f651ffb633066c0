import { randomUUID } from 'node:crypto';
import { METHODS } from 'node:http';
import type { Socket } from 'node:net';
import type { ConnectionError, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { ReelfuseError, invalidRequest } from '../errors.js';
import { fieldErrors } from '../schema.js';
import { storageFaultOf, storageProblem } from '../storage-faults.js';
import { openExchange } from './stalled.js';

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

export const problemContent = { 'application/problem+json': { schema: Problem } };
const problems = (description: string) => ({ description, content: problemContent });

/** Responses of every route for errors. */
export const problemResponses = { '4xx': problems('The request is refused.'), '5xx': problems('The server cannot answer now, or has failed.') };

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
  417: 'Expectation failed',
  422: 'Unprocessable content',
  429: 'Too many requests',
  431: 'Request header fields too large',
  501: 'Not implemented',
  503: 'Service unavailable',
  507: 'Insufficient storage',
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

/** Characters of a message that may quote the URL. */
const MAX_DETAIL = 300;

/** Where pointers into a part of the request begin. */
const PLACES = { body: '', querystring: '/query', params: '/path', headers: '/headers' } as const;

/** The error that the caller sees. An unexpected error becomes 500 `internal_error` without its message. */
export function toReelfuseError(error: FastifyError | ReelfuseError): ReelfuseError {
  if (error instanceof ReelfuseError) return error;
  if (error.validation !== undefined) {
    const where = PLACES[error.validationContext ?? 'body'];
    return invalidRequest(fieldErrors(error.validation as Parameters<typeof fieldErrors>[0], where));
  }
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new ReelfuseError(415, 'unsupported_media_type', 'send application/json; POST /v1/items/batch takes application/x-ndjson too', {
      cause: error,
    });
  const status = error.statusCode;
  if (status !== undefined && status >= 400 && status < 500)
    return new ReelfuseError(status, 'bad_request', error.message.slice(0, MAX_DETAIL), { cause: error });
  const fault = storageFaultOf(error);
  if (fault !== null) return storageProblem(fault, error);
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

/** Sends the error as a problem response. */
export function sendProblem(error: ReelfuseError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
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
    return sendProblem(known, request, reply);
  });
}

/** Answers a request whose URL is malformed. */
export function refuseUrl(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  void reply.header('x-request-id', request.id);
  void sendProblem(toReelfuseError(error), request, reply);
}

/** Answers input that the HTTP parser refuses, or that stops arriving, with a problem, and closes the connection. */
export function refuseConnection(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const refuse = (): void => closeWithProblem(socket, refusalOf(error));
  const exchange = openExchange(socket);
  if (exchange === null) refuse();
  else if (exchange.onCut !== undefined && error.code === 'HPE_INVALID_EOF_STATE') exchange.onCut(error);
  else if (exchange.request.complete)
    exchange.response.once('finish', refuse); // the input came after a request that is being answered
  else if (exchange.response.headersSent)
    socket.destroy(); // its answer has begun
  else refuse();
}

function refusalOf({ code, rawPacket }: ConnectionError): ReelfuseError {
  const packet = Buffer.isBuffer(rawPacket) ? (rawPacket as Buffer) : Buffer.alloc(0); // Fastify's type has its JSON form
  const [, method] = REQUEST_LINE.exec(packet.subarray(0, MAX_REQUEST_LINE).toString('latin1')) ?? [];
  if (code === 'HPE_INVALID_METHOD' && method !== undefined && !METHODS.includes(method))
    return new ReelfuseError(501, 'not_implemented', 'the server does not know this method');
  const [status, name, detail] = PARSER[code] ?? [400, 'malformed_http', 'the request is not HTTP/1.1'];
  return new ReelfuseError(status, name, detail);
}

const REQUEST_LINE = /^([A-Z]+) \S+ HTTP\/1\.[01]\r\n/;
const MAX_REQUEST_LINE = 4096;

/** Writes a problem to a connection that has no response object, and closes it. */
export function closeWithProblem(socket: Socket, error: ReelfuseError, headers = ''): void {
  const requestId = randomUUID();
  const body = JSON.stringify(problemBody(error, requestId));
  const head = `HTTP/1.1 ${error.status} ${TITLES[error.status] ?? ''}\r\nconnection: close\r\ncontent-type: ${PROBLEM_TYPE}\r\nx-request-id: ${requestId}\r\n`;
  socket.write(`${head}${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  socket.destroySoon();
}
