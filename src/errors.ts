/** One reason why an input was refused; `pointer` is an RFC 6901 JSON pointer into that input. */
export interface FieldError {
  pointer: string;
  detail: string;
}

/** The pointer to a field by the names on its path. */
export const pointerTo = (...names: readonly string[]): string =>
  names.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

export interface ErrorDetails {
  errors?: FieldError[];
  /** Seconds after which a retry may succeed. */
  retryAfter?: number;
  cause?: unknown;
}

/** An error that a caller may see. Only `http/problem.ts` turns it into a response. */
export class ReelfuseError extends Error {
  readonly errors: FieldError[];
  readonly retryAfter: number | undefined;

  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    details: ErrorDetails = {},
  ) {
    super(detail, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ReelfuseError';
    this.errors = details.errors ?? [];
    this.retryAfter = details.retryAfter;
  }
}

export const invalidRequest = (errors: FieldError[], detail = 'the request is not valid'): ReelfuseError =>
  new ReelfuseError(422, 'invalid_request', detail, { errors });

export const notFound = (what: string, id: string): ReelfuseError =>
  new ReelfuseError(404, `${what}_not_found`, `no ${what} has the id ${JSON.stringify(id)}`);

/** @param itemId an item that stands against the change of the attribute */
export const attributeInUse = (name: string, itemId: string, what = ''): ReelfuseError =>
  new ReelfuseError(409, 'attribute_in_use', `the item ${JSON.stringify(itemId)} carries the attribute ${JSON.stringify(name)}${what}`);

export const preconditionFailed = (detail: string): ReelfuseError => new ReelfuseError(412, 'precondition_failed', detail);

export const overloaded = (what: string): ReelfuseError => new ReelfuseError(503, 'overloaded', `the ${what} queue is full`, { retryAfter: 1 });

export const staleServer = (): ReelfuseError =>
  new ReelfuseError(503, 'stale', 'this server has not reached the database for too long, and others may know better', { retryAfter: 1 });

/** The start is refused: a setting is unknown, malformed or contradicts another one. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** A model folder that must not be used; the message names the file and the reason. */
export class ArtifactError extends Error {
  override readonly name = 'ArtifactError';
}

/** A file or row that cannot be imported. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** A start that cannot succeed: what was found and what to do about it, in the words that `reelfuse doctor` has for it. */
export class StartError extends InputError {
  constructor(
    readonly detail: string,
    readonly advice: string,
    options?: ErrorOptions,
  ) {
    super(`${detail}; ${advice}`, options);
  }
}

/** The server that a command calls does not answer, or refuses. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Error codes of Node for a native package that is missing or built for another machine. */
const UNLOADABLE = new Set(['ERR_DLOPEN_FAILED', 'MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND']);

/** Whether the error, or one of its causes, is a native package that does not load. */
export const isUnloadable = (error: unknown): boolean =>
  error instanceof Error &&
  (UNLOADABLE.has((error as { code?: string }).code ?? '') ||
    error.message.startsWith('Could not locate the bindings file') ||
    isUnloadable(error.cause));
