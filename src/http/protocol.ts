import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ReelfuseError } from '../errors.js';

/** Headers of which the server takes one: a proxy and the server could take different ones of several. */
const SINGLE = new Set(['host', 'content-type', 'content-encoding', 'authorization', 'x-api-key', 'idempotency-key']);

/** Refuses requests that HTTP (RFC 9110 and 9112) makes ambiguous, before a key is looked at or a body is read. */
export function registerProtocol(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { raw, headers } = request;
    const refusal = refusalOf(raw.rawHeaders, headers, raw.httpVersion, raw.method ?? '', raw.url ?? '');
    if (refusal !== null) {
      void reply.header('connection', 'close');
      done(refusal);
      return;
    }
    // clients set a content type for all their requests; a route without a body has none to parse
    if (headers['content-type'] !== undefined && isEmpty(headers) && request.routeOptions.schema?.body === undefined) delete headers['content-type'];
    done();
  });
}

const badRequest = (detail: string): ReelfuseError => new ReelfuseError(400, 'bad_request', detail);

function refusalOf(rawHeaders: string[], headers: IncomingHttpHeaders, version: string, method: string, url: string): ReelfuseError | null {
  if (version === '1.1' && headers.host === undefined) return badRequest('an HTTP/1.1 request needs a Host header');
  if (!url.startsWith('/') && !(method === 'OPTIONS' && url === '*')) return badRequest('the target of the request must be a path or an http URL');
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked')
    return new ReelfuseError(501, 'not_implemented', 'the only transfer coding of requests is chunked');
  const repeated = repeatedHeader(rawHeaders, headers);
  return repeated === null ? null : new ReelfuseError(400, 'repeated_header', `the header ${repeated} must come once`);
}

/** Name of a header of SINGLE that comes more than once. */
function repeatedHeader(rawHeaders: string[], headers: IncomingHttpHeaders): string | null {
  let distinct = 0;
  for (const name in headers) if (Object.hasOwn(headers, name)) distinct++;
  if (distinct * 2 === rawHeaders.length) return null; // nearly all requests
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? '';
    if (SINGLE.has(name) && seen.has(name)) return name;
    seen.add(name);
  }
  return null;
}

const isEmpty = (headers: IncomingHttpHeaders): boolean => headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
