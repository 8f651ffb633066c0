import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import type { Problem } from '../api.js';
import { buildForSuite, putClips } from '../build.js';
import { exchange, listening, requestText, type RawAnswer } from './raw-connection.js';

const JSON_TYPE = 'application/json';
const BODY = '{"user_id":"u"}';

describe('HTTP as RFC 9110 and 9112 define it, byte by byte', () => {
  let port = 0;
  const server = buildForSuite({}, async ({ app }) => {
    await putClips(app, 2);
    port = await listening(app);
  });
  const send = (line: string, headers: Record<string, string | string[]> = {}, body = ''): Promise<RawAnswer> =>
    exchange(port, requestText(line, headers, body));
  const recommend = (headers: Record<string, string | string[]>, body = BODY): Promise<RawAnswer> =>
    send('POST /v1/recommendations', { 'content-type': JSON_TYPE, ...headers }, body);
  const codeOf = ({ status, headers, body }: RawAnswer): [number, string] => {
    assert.match(headers['content-type'] ?? '', /^application\/problem\+json/, body);
    const problem = JSON.parse(body) as Problem;
    assert.deepEqual([problem.status, problem.request_id], [status, headers['x-request-id']]);
    return [status, problem.code];
  };

  test('a method that a resource does not have is 405 with Allow, and an unknown path 404', async () => {
    const answer = await send('PUT /v1/recommendations', { 'content-type': JSON_TYPE }, '{}');
    assert.deepEqual([...codeOf(answer), answer.headers.allow], [405, 'method_not_allowed', 'POST, OPTIONS']);
    for (const method of ['TRACE', 'PROPFIND', 'LOCK', 'POST']) {
      const { headers, ...rest } = await send(`${method} /v1/items/a%2Fb`);
      assert.deepEqual([rest.status, headers.allow], [405, 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS'], method);
    }
    assert.equal((await send('DELETE /v1/recommendations/batch')).headers.allow, 'GET, HEAD, POST, OPTIONS');
    assert.equal((await send('POST /console/index.html')).status, 405);
    assert.deepEqual(codeOf(await send('PUT /v1/nothing')), [404, 'route_not_found']);
    assert.deepEqual(codeOf(await send('GET /console/nothing.js')), [404, 'route_not_found']);
    assert.deepEqual(codeOf(await send('BREW /v1/items')), [501, 'not_implemented']);
    assert.deepEqual(codeOf(await send('CONNECT x:80')), [405, 'method_not_allowed']);
  });

  test('a tunnel that is asked for and reset ends its connection alone', async () => {
    for (let n = 0; n < 5; n++) {
      const socket = connect(port, '127.0.0.1');
      socket.write('CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n');
      await once(socket, 'data');
      socket.resetAndDestroy();
      assert.equal((await send('GET /livez')).status, 200); // the process has met the reset by now
    }
  });

  test('OPTIONS is 204 with Allow, of a resource and of the server', async () => {
    const { status, headers, body } = await send('OPTIONS /v1/items');
    assert.deepEqual([status, headers.allow, body], [204, 'GET, HEAD, OPTIONS', '']);
    assert.equal((await send('OPTIONS *')).status, 204);
    assert.equal((await send('OPTIONS /v1/nothing')).status, 404);
  });

  test('HEAD has the headers of GET and no body', async () => {
    for (const path of ['/livez', '/v1/items/clip-0001', '/metrics', '/', '/docs/']) {
      const { status, body } = await send(`HEAD ${path}`);
      assert.deepEqual([status, body], [200, ''], path);
    }
  });

  test('a target may be a whole URL; any other form is refused', async () => {
    assert.equal((await send('GET http://elsewhere:99/livez')).status, 200);
    assert.equal((await send('GET HTTPS://elsewhere?x=1')).status, 200);
    for (const target of ['*', 'livez', 'ftp://x/livez']) assert.equal((await send(`GET ${target}`)).status, 400, target);
  });

  test('an id of 128 characters of any script is found', async () => {
    const path = `/v1/items/${encodeURIComponent('界'.repeat(128))}`;
    assert.equal((await send(`PUT ${path}`, { 'content-type': JSON_TYPE }, '{}')).status, 201);
    assert.equal((await send(`GET ${path}`)).status, 200);
    assert.equal((await send(`GET /v1/items/${encodeURIComponent('界'.repeat(129))}`)).status, 422);
  });

  test('a content type without a body is no body where none is needed', async () => {
    assert.equal((await send('DELETE /v1/items/clip-0002', { 'content-type': JSON_TYPE })).status, 200);
    assert.equal((await send('DELETE /v1/items/clip-0002', { 'content-type': JSON_TYPE, 'content-length': '0' })).status, 404);
    assert.equal((await send('POST /v1/snapshots', { 'content-type': JSON_TYPE })).status, 201);
    assert.deepEqual(codeOf(await recommend({ 'content-length': '0' }, '')), [400, 'malformed_json']);
  });

  test('charsets: UTF-8 in any spelling, no other', async () => {
    for (const type of ['application/json; charset=utf-8', 'Application/JSON;Charset="UTF-8"'])
      assert.equal((await recommend({ 'content-type': type })).status, 200, type);
    assert.equal((await recommend({ 'content-type': 'application/json; charset=latin1' })).status, 415);
    const rows = (type: string) => send('POST /v1/items/batch', { 'content-type': type }, '{"item_id":"row"}\n');
    assert.equal((await rows('application/x-ndjson; charset=UTF-8')).status, 200);
    assert.deepEqual(codeOf(await rows('application/x-ndjson; charset=utf-16')), [415, 'unsupported_media_type']);
  });

  test('a stream of rows is for the route that takes one', async () => {
    assert.deepEqual(codeOf(await recommend({ 'content-type': 'application/x-ndjson' })), [415, 'unsupported_media_type']);
    assert.deepEqual(codeOf(await recommend({ 'content-type': 'text/csv' })), [415, 'unsupported_media_type']);
  });

  test('a header that decides and comes twice is refused; of two request ids neither is taken', async () => {
    for (const name of ['content-type', 'authorization', 'x-api-key', 'idempotency-key', 'content-encoding', 'host'])
      assert.deepEqual(codeOf(await recommend({ [name]: ['identity', 'other'] })), [400, 'repeated_header'], name);
    assert.deepEqual(codeOf(await recommend({ 'content-length': ['15', '15'] })), [400, 'malformed_http']);
    const { status, headers } = await recommend({ 'x-request-id': ['first', 'second'] });
    assert.equal(status, 200);
    assert.doesNotMatch(headers['x-request-id'] ?? '', /first|second/);
    const conditional = await send('GET /v1/items/clip-0001', { 'if-none-match': ['"x"', '"y"'] });
    assert.equal(conditional.status, 200, 'conditions are lists');
  });

  test('Host, expectations and transfer codings', async () => {
    assert.deepEqual(codeOf(await exchange(port, 'GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n')), [400, 'bad_request']);
    assert.equal((await exchange(port, 'GET /livez HTTP/1.0\r\n\r\n')).status, 200);
    assert.deepEqual(codeOf(await recommend({ expect: 'something' })), [417, 'expectation_failed']);
    assert.equal((await recommend({ expect: '100-continue' })).status, 100);
    const chunked = (coding: string) =>
      exchange(
        port,
        requestText('POST /v1/recommendations', { 'content-type': JSON_TYPE, 'transfer-encoding': coding }) + `f\r\n${BODY}\r\n0\r\n\r\n`,
      );
    assert.equal((await chunked('chunked')).status, 200);
    assert.deepEqual(codeOf(await chunked('gzip, chunked')), [501, 'not_implemented']);
    assert.deepEqual(codeOf(await recommend({ 'transfer-encoding': 'chunked' })), [400, 'malformed_http']);
  });

  test('a caller that never closes is let go after a refusal, and input after a request does not cost its answer', async () => {
    const garbage = await exchange(port, '\x16\x03\x01\x02\x00\x01\x00');
    assert.deepEqual(codeOf(garbage), [400, 'malformed_http']);
    const { status, body } = await exchange(port, `GET /livez HTTP/1.1\r\nhost: x\r\n\r\n\x16\x03\x01`);
    assert.equal(status, 200);
    assert.match(body, /"live".*malformed_http/s);
    assert.equal((await server.api.raw('/livez')).status, 200);
  });
});
