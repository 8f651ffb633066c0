/** @import * as Wire from './wire-types.js' */

const KEY_NAME = 'reelfuse-api-key';
const TIMEOUT_MS = 15_000;

/** An answer that is not 2xx (RFC 9457), or no answer at all (status 0). */
export class ApiProblem extends Error {
  /**
   * @param {number} status
   * @param {{title?: unknown, detail?: unknown, code?: unknown, request_id?: unknown, errors?: unknown, rejected?: {errors?: unknown}[]}} body
   *   a problem, or the answer about events that were all rejected
   * @param {{requestId?: string | null, retryAfter?: string | null}} [headers]
   */
  constructor(status, body, headers = {}) {
    const title = typeof body.title === 'string' ? body.title : `The server answered ${status}`;
    super(title);
    this.status = status;
    this.title = title;
    this.detail = typeof body.detail === 'string' ? body.detail : '';
    this.code = typeof body.code === 'string' ? body.code : '';
    this.requestId = typeof body.request_id === 'string' ? body.request_id : (headers.requestId ?? '');
    this.retryAfter = headers.retryAfter ?? '';
    /** @type {{pointer?: string, detail?: string}[]} */
    this.errors = [body.errors, body.rejected?.[0]?.errors].find(Array.isArray) ?? [];
  }

  /** A key is missing, wrong, or lacks the scope. */
  get wantsKey() {
    return this.status === 401 || this.status === 403;
  }
}

export const apiKey = {
  get: () => sessionStorage.getItem(KEY_NAME) ?? '',
  /** @param {string} key */
  set: (key) => sessionStorage.setItem(KEY_NAME, key),
  forget: () => sessionStorage.removeItem(KEY_NAME),
};

/**
 * One call. The round trip runs until the body is read and parsed.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [more] headers
 * @returns {Promise<{status: number, body: any, roundTripMs: number}>} body: the parsed JSON, as the wire example of the call
 */
export async function call(method, path, body, more = {}) {
  const headers = {
    accept: 'application/json, application/problem+json',
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...more,
  };
  const started = performance.now();
  const { response, text } = await send(method, path, headers, body);
  const parsed = parseJson(text);
  if (parsed === null) {
    throw new ApiProblem(response.status, { title: 'The answer is not JSON', detail: `${method} ${path}` });
  }
  return { status: response.status, body: parsed, roundTripMs: performance.now() - started };
}

/** @returns {Promise<string>} Prometheus text */
export async function readMetrics() {
  const { text } = await send('GET', '/metrics', { accept: 'text/plain, application/problem+json' });
  return text;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Record<string, string>} headers
 * @param {unknown} [body]
 * @returns {Promise<{response: Response, text: string}>} of an answer that is 2xx
 */
async function send(method, path, headers, body) {
  const key = apiKey.get();
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers: key ? { ...headers, authorization: `Bearer ${key}` } : headers,
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (cause) {
    const late = cause instanceof DOMException && cause.name === 'TimeoutError';
    throw new ApiProblem(0, {
      title: late ? 'The server did not answer in time' : 'The server cannot be reached',
      detail: `${method} ${path}`,
    });
  }
  if (!response.ok) {
    throw new ApiProblem(response.status, parseJson(text) ?? {}, {
      requestId: response.headers.get('x-request-id'),
      retryAfter: response.headers.get('retry-after'),
    });
  }
  return { response, text };
}

/**
 * The readiness answer is read whatever its status code: 503 is an answer too.
 *
 * @returns {Promise<string>} "ready", "degraded", "starting", …
 */
export async function readReadiness() {
  try {
    const response = await fetch('/readyz', { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
    const status = parseJson(await response.text())?.status;
    // A problem document holds the HTTP code under the same name.
    if (typeof status === 'string') return status;
    return response.ok ? 'ready' : 'not_ready';
  } catch {
    return 'unreachable';
  }
}

const WORDS = ['topic', 'subtopic', 'language', 'author_name', 'published_at', 'thumbnail_url'];

/**
 * Attributes are what the catalogue's owner makes of them: a topic may be a number or a list. Here those that are shown become words.
 *
 * @param {string} key
 * @param {unknown} value
 */
function withWords(key, value) {
  if (key !== 'attributes' || typeof value !== 'object' || value === null) return value;
  /** @type {Record<string, unknown>} */
  const attributes = { ...value };
  for (const name of WORDS) if (name in attributes) attributes[name] = [attributes[name]].flat().join(', ');
  if ('tags' in attributes) attributes['tags'] = [attributes['tags']].flat().map(String);
  if (typeof attributes['duration_s'] !== 'number') delete attributes['duration_s'];
  return attributes;
}

/** @param {string} text */
function parseJson(text) {
  try {
    return JSON.parse(text, withWords);
  } catch {
    return null;
  }
}

/**
 * @param {Wire.RecommendationRequest} request
 * @returns {Promise<{answer: Wire.RecommendationAnswer, roundTripMs: number}>}
 */
export async function recommend(request) {
  const { body, roundTripMs } = await call('POST', '/v1/recommendations', request);
  return { answer: body, roundTripMs };
}

/**
 * Sends one event; returns when the server has it on disk.
 *
 * @param {Record<string, unknown>} event
 * @returns {Promise<{roundTripMs: number}>}
 */
export async function sendEvent(event) {
  const { roundTripMs } = await call('POST', '/v1/events', { events: [event] });
  return { roundTripMs };
}

/**
 * Users whose id begins with these characters, in the order of the ids.
 *
 * @param {string} start
 * @param {number} limit
 * @returns {Promise<{user_id: string, events: number}[]>} empty when the key may not list users
 */
export async function listUsers(start, limit) {
  try {
    // The page after this id: an id that is exactly this has been typed already.
    const after = start ? `&cursor=${encodeURIComponent(start)}` : '';
    const { body } = await call('GET', `/v1/users?limit=${limit}${after}`);
    return body.users.filter((/** @type {{user_id: string}} */ { user_id: id }) => id.startsWith(start));
  } catch (problem) {
    if (problem instanceof ApiProblem && problem.status === 403) return [];
    throw problem;
  }
}

/** @returns {Promise<{models: Wire.Model[], swap: Wire.Swap | null}>} */
export async function readModels() {
  const { body } = await call('GET', '/v1/models');
  return body;
}

/**
 * Model, time and places of one map.
 *
 * @returns {Promise<Wire.ItemMap>}
 */
export async function readMap() {
  const { body } = await call('GET', '/v1/map?fields=title,author_id,attributes,available_from');
  return body;
}

/**
 * @param {string[]} itemIds
 * @returns {Promise<{made_at: string, model: {fingerprint: string}, positions: {item_id: string, x: number, y: number}[]}>}
 */
export async function placeOnMap(itemIds) {
  const { body } = await call('POST', '/v1/map/positions', { item_ids: itemIds });
  return body;
}

/** A random version 4 UUID; crypto.randomUUID is missing on a plain-http origin that is not loopback. */
export function randomId() {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes.set([((bytes[6] ?? 0) & 0x0f) | 0x40], 6);
  bytes.set([((bytes[8] ?? 0) & 0x3f) | 0x80], 8);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
