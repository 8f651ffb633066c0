import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ReelfuseError } from '../../errors.js';
import { createJsonMeter, type JsonMeter } from './json-meter.js';
import { parseRows, parseWhole } from './json-text.js';
import { CHEAP_BYTES, MIB, SMALL_BODY, type BodyLimits } from './limits.js';
import type { OwnTurn } from '../../turnstile.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** SHA-256 of the body's bytes after decompression, hex. Null for a request without an idempotency key. */
    bodyDigest: string | null;
  }
}

/**
 * Reads JSON bodies within the limits of their route: size, number of values and depth are checked while the body arrives, and
 * a large one is parsed in slices.
 */
export function registerJsonBodies(app: FastifyInstance, bodyLimitMb: number, ownTurn: OwnTurn): void {
  app.decorateRequest('bodyDigest', null);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(['application/json', MERGE_PATCH], (request: FastifyRequest, payload: Readable, done) => {
    const limits = request.routeOptions.config.body ?? SMALL_BODY;
    const maxBytes = Math.min(limits.maxBytes, bodyLimitMb * MIB);
    const length = plainLength(request);
    try {
      if (request.method !== 'PATCH') refuseMergePatch(request.headers['content-type'] ?? '');
      requireUtf8Charset(request.headers['content-type'] ?? '');
      if (length !== null) requireSize(length, maxBytes);
    } catch (error) {
      done(error as Error, undefined);
      return;
    }
    readAll(payload, maxBytes, limits, (error, bytes, arrays) => {
      if (error !== null) {
        done(error, undefined);
        return;
      }
      if (length !== null && length !== bytes.length) {
        done(new ReelfuseError(400, 'invalid_content_length', `the body has ${bytes.length} bytes, Content-Length says ${length}`), undefined);
        return;
      }
      if (request.headers['idempotency-key'] !== undefined) request.bodyDigest = createHash('sha256').update(bytes).digest('hex');
      if (bytes.length <= CHEAP_BYTES) {
        try {
          done(null, parseWhole(bytes));
        } catch (refused) {
          done(refused as Error, undefined);
        }
        return;
      }
      parseRows(bytes, arrays, ownTurn).then(
        (body) => done(null, body),
        (refused: unknown) => done(refused as Error, undefined),
      );
    });
  });
}

/** Size of an uncompressed body by its header, bytes; null: unknown. */
function plainLength({ headers }: FastifyRequest): number | null {
  const isCoded = headers['content-encoding'] !== undefined;
  return isCoded || headers['content-length'] === undefined ? null : Number(headers['content-length']);
}

/** RFC 7396: what the bodies of PATCH are. */
const MERGE_PATCH = 'application/merge-patch+json';

function refuseMergePatch(contentType: string): void {
  if (contentType.toLowerCase().startsWith(MERGE_PATCH))
    throw new ReelfuseError(415, 'unsupported_media_type', `${MERGE_PATCH} is the body of a PATCH; send application/json`);
}

/** @throws ReelfuseError 415 `unsupported_media_type` */
export function requireUtf8Charset(contentType: string): void {
  if (contentType === 'application/json') return;
  const [, charset] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(contentType) ?? [];
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    throw new ReelfuseError(415, 'unsupported_media_type', `the charset ${JSON.stringify(charset.slice(0, 64))} is not supported, send UTF-8`);
}

/** @throws ReelfuseError 413 `body_too_large` */
function requireSize(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes) throw new ReelfuseError(413, 'body_too_large', `the body is larger than the ${sizeOf(maxBytes)} that this route takes`);
}

const sizeOf = (bytes: number): string => (bytes < MIB ? `${bytes / 1024} KiB` : `${bytes / MIB} MiB`);

type Read = (error: Error | null, bytes: Buffer, arrays: JsonMeter['arrays']) => void;

/** Reads a body to its end, or until it exceeds a limit. The payload is not destroyed: the answer uses the same socket. */
function readAll(payload: Readable, maxBytes: number, limits: BodyLimits, done: Read): void {
  let meter: JsonMeter | null = null;
  const chunks: Buffer[] = [];
  let size = 0;
  const end = (error: Error | null): void => {
    payload.off('data', onData).off('end', onEnd).off('error', onError);
    if (error !== null) payload.on('error', () => undefined); // what comes later concerns nobody
    const [first = NOTHING] = chunks;
    done(error, error !== null ? NOTHING : chunks.length <= 1 ? first : Buffer.concat(chunks, size), meter?.arrays ?? []);
  };
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
    size += chunk.length;
    try {
      requireSize(size, maxBytes);
      if (size <= CHEAP_BYTES) return;
      if (meter !== null) meter.add(chunk);
      else {
        meter = createJsonMeter(limits); // from the beginning, now that it is no longer cheap
        for (const earlier of chunks) meter.add(earlier);
      }
    } catch (error) {
      end(error as Error);
    }
  };
  const onEnd = (): void => end(null);
  const onError = (error: Error): void =>
    end(error instanceof ReelfuseError ? error : new ReelfuseError(400, 'bad_request', `the body broke off: ${error.message}`, { cause: error }));
  payload.on('data', onData).on('end', onEnd).on('error', onError);
}

const NOTHING = Buffer.alloc(0);
