/** Every code that a problem may carry, with what the caller can make of it; the API description lists them. */
export const ERROR_CODES: Record<string, string> = {
  api_key_missing: '401: send `Authorization: Bearer` or `X-API-Key`',
  api_key_unknown: '401: the key is not known',
  bad_request: '400, 415: the URL, an encoding or a header cannot be read; `detail` says which',
  body_too_large: '413: the body is larger than REELFUSE_BODY_LIMIT_MB after decompression',
  cursor_expired: '410: ask for a first page',
  headers_too_large: '431: query string and headers together; long wishes and cursors go by POST',
  idempotency_key_in_use: '409: the first request with this key is still being served; Retry-After',
  idempotency_key_reused: '422: the key came with another body before',
  internal_error: '500: the log has the details under the request id',
  invalid_content_length: '400: the body is not as long as its header says',
  invalid_request: '422: `errors` names each field by a JSON pointer',
  item_not_found: '404',
  item_without_vector: '409: `similar` needs an item that has hidden states or a row in the ID table',
  malformed_http: '400: what came is not HTTP/1.1; the connection is closed',
  malformed_json: '400',
  model_not_found: '404: register the model first',
  overloaded: '503: the queue for the recommenders is full; Retry-After',
  precondition_failed: '412: If-Match or If-None-Match does not hold',
  recommendation_not_found: '404: never served, or longer ago than REELFUSE_SERVED_DAYS',
  request_timeout: '408: the request did not arrive in time',
  route_not_found: '404',
  scope_missing: '403: the key is known, but not for this',
  sequence_not_reached: '503: `at_least_sequence` is not in the store yet; Retry-After',
  served_log_off: '409: REELFUSE_SERVED_DAYS is 0, so there is nothing to report on',
  snapshot_failed: '503: the snapshot could not be written; Retry-After',
  snapshot_in_progress: '409: Retry-After',
  starting: '503: the catalogue is still loading; Retry-After',
  storage_full: '507: the disk is full, nothing of the write was kept; Retry-After',
  swap_in_progress: '409: another model is being prepared; Retry-After',
  unsupported_media_type: '415',
};

/** As Markdown. */
export const describeErrors = (): string =>
  [
    'Errors are problems of RFC 9457; their `code` is one of:',
    '',
    ...Object.entries(ERROR_CODES).map(([code, text]) => `- \`${code}\`: ${text}`),
  ].join('\n');
