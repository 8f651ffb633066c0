/** One reason why a request was refused; `pointer` is a JSON pointer into what was sent. */
export interface FieldProblem {
  pointer: string;
  detail: string;
}

interface ProblemDetails {
  status: number;
  code: string;
  detail: string;
  errors: readonly FieldProblem[];
  requestId: string | null;
  retryAfterMs: number | null;
  attempts: number;
}

/** The server, or something before it, has refused a request: problem details of RFC 9457. */
export class ReelfuseProblem extends Error {
  override readonly name = 'ReelfuseProblem';
  readonly status: number;
  /** What a program decides by, like `item_not_found`; `http_…` when the answer was not this server's. */
  readonly code: string;
  readonly detail: string;
  /** Each field that is wrong. */
  readonly errors: readonly FieldProblem[];
  /** Names the line in the server's log. */
  readonly requestId: string | null;
  /** When the server expects a retry to succeed; null: it has not said. */
  readonly retryAfterMs: number | null;
  /** How often the request was sent. */
  readonly attempts: number;

  constructor(details: ProblemDetails) {
    const fields = details.errors.map(({ pointer, detail }) => `${pointer} ${detail}`.trim()).join('; ');
    super(`${details.status} ${details.code}: ${details.detail}${fields === '' ? '' : ` (${fields})`}`);
    this.status = details.status;
    this.code = details.code;
    this.detail = details.detail;
    this.errors = details.errors;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
    this.attempts = details.attempts;
  }
}

/** No answer came: the connection failed, or the time of an attempt was over. `cause` has the reason. */
export class ReelfuseUnreachable extends Error {
  override readonly name = 'ReelfuseUnreachable';

  constructor(
    message: string,
    readonly attempts: number,
    cause: unknown,
  ) {
    super(message, { cause });
  }
}

/** Seconds or a date, RFC 9110. @returns milliseconds from now; null when it is neither */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

const isText = (value: unknown): value is string => typeof value === 'string';

function fieldsOf(value: unknown): FieldProblem[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry: { pointer?: unknown; detail?: unknown } | null) =>
    isText(entry?.pointer) && isText(entry.detail) ? [{ pointer: entry.pointer, detail: entry.detail }] : [],
  );
}

/** Whatever the body is: a proxy's HTML becomes a problem too. */
export function problemOf(response: Response, text: string, attempts: number, now: number): ReelfuseProblem {
  let body: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) body = parsed as Record<string, unknown>;
  } catch {
    // not a problem document: the status has to do
  }
  return new ReelfuseProblem({
    status: response.status,
    code: isText(body.code) ? body.code : `http_${response.status}`,
    detail: isText(body.detail) ? body.detail : response.statusText || 'the answer is not a problem document',
    errors: fieldsOf(body.errors),
    requestId: isText(body.request_id) ? body.request_id : response.headers.get('x-request-id'),
    retryAfterMs: retryAfterMs(response.headers.get('retry-after'), now),
    attempts,
  });
}
