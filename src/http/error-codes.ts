/** Every code of a problem with its meaning. The API description lists them. */
export const ERROR_CODES: Record<string, string> = {
  api_key_missing: '401: send `Authorization: Bearer` or `X-API-Key`',
  api_key_unknown: '401: the key is not known',
  bad_request: '400, 414, 415: the URL, an encoding or a header is malformed; `detail` says which',
  body_too_complex: '413: the body holds more values than its route takes, or is nested deeper than 64',
  body_too_large: '413: the body is larger than its route takes or REELFUSE_BODY_LIMIT_MB after decompression, or expands too far',
  cursor_expired: '410: the cursor is older than REELFUSE_CURSOR_MINUTES; ask for a first page',
  headers_too_large: '431: query string and headers together are too large; send long options and cursors by POST',
  idempotency_key_in_use: '409: the first request with this key is still in progress; Retry-After',
  idempotency_key_reused: '422: an earlier request used this key with another body',
  internal_error: '500: the server failed; the log has the details under the request id',
  invalid_content_length: '400: the length of the body differs from its header',
  invalid_request: '422: `errors` names each field by a JSON pointer',
  item_not_found: '404: no item has this id',
  item_without_vector: '409: `similar` needs an item that has hidden states or a row in the ID table',
  malformed_http: '400: the request is not HTTP/1.1; the connection is closed',
  malformed_json: '400: the body is not JSON in UTF-8',
  model_not_found: '404: register the model first',
  overloaded: '503: the queue of the recommenders, of item writes or of events is full, or the expected wait is too long; Retry-After',
  precondition_failed: '412: If-Match or If-None-Match does not hold',
  recommendation_not_found: '404: no answer has this id, or it is older than REELFUSE_SERVED_DAYS',
  request_timeout: '408: the request did not arrive in time',
  route_not_found: '404: the API has no such path or method',
  scope_missing: '403: the key lacks the scope of this route',
  sequence_not_reached: '503: `at_least_sequence` is not in the store yet; Retry-After',
  served_log_off: '409: REELFUSE_SERVED_DAYS is 0, so no answers are kept',
  snapshot_failed: '503: the snapshot could not be written; Retry-After',
  snapshot_in_progress: '409: a snapshot is being written; Retry-After',
  starting: '503: the catalogue is still loading; Retry-After',
  storage_full: '507: the disk is full, nothing of the write was kept; Retry-After',
  swap_in_progress: '409: another model is being prepared; Retry-After',
  unsupported_content_encoding: '415: the coding of the body is neither gzip nor identity',
  unsupported_media_type: '415: the content type of the body is not supported',
};

/** The codes as Markdown. */
export const describeErrors = (): string =>
  [
    'Errors are problems of RFC 9457; their `code` is one of:',
    '',
    ...Object.entries(ERROR_CODES).map(([code, text]) => `- \`${code}\`: ${text}`),
  ].join('\n');
