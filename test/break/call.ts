import { request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';

export interface Reply {
  /** 0: the connection broke before an answer. */
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  ms: number;
}

const MAX_MS = 120_000;

/** One request on a connection of its own; never throws. */
export function call(
  url: string,
  method: string,
  path: string,
  body: Buffer | string | object | null = null,
  headers: OutgoingHttpHeaders = {},
  timeoutMs = MAX_MS,
): Promise<Reply> {
  const started = performance.now();
  const bytes = body === null ? null : Buffer.isBuffer(body) || typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  return new Promise((resolve) => {
    const end = (status: number, found: IncomingHttpHeaders, text: string): void =>
      resolve({ status, headers: found, text, ms: Math.round(performance.now() - started) });
    const sent = request(
      new URL(path, url),
      {
        method,
        agent: false,
        timeout: timeoutMs,
        headers: { ...(bytes !== null && { 'content-type': 'application/json', 'content-length': bytes.length }), ...headers },
      },
      (answer) => {
        buffer(answer).then(
          (whole) => end(answer.statusCode ?? 0, answer.headers, whole.toString()),
          (error: unknown) => end(0, {}, String(error)),
        );
      },
    );
    sent.once('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    sent.once('error', (error) => end(0, {}, error.message)); // after an answer has begun, the first `end` counts
    sent.end(bytes ?? undefined);
  });
}
