import type { IncomingMessage } from 'node:http';
import { Transform, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { ReelfuseError } from '../../errors.js';
import { MAX_RATIO } from './limits.js';

/** Output that passes whatever its ratio: a small body is cheap. */
const FREE_BYTES = 64 * 1024;
const CHUNK_BYTES = 64 * 1024;

/** Bodies with `Content-Encoding: gzip` reach parsers and routes decompressed. Other codings are refused. */
export function registerGunzip(app: FastifyInstance): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    const coding = request.headers['content-encoding']?.trim().toLowerCase();
    if (coding === undefined || coding === '' || coding === 'identity') done(null, payload);
    else if (coding === 'gzip' || coding === 'x-gzip') done(null, gunzipped(payload));
    else done(refusedCoding(coding, reply));
  });
}

function refusedCoding(coding: string, reply: FastifyReply): ReelfuseError {
  void reply.header('accept-encoding', 'gzip, identity').header('connection', 'close');
  return new ReelfuseError(415, 'unsupported_content_encoding', `the coding ${JSON.stringify(coding.slice(0, 64))} is not known, send gzip or none`);
}

/** The decompressed bytes. Fails with ReelfuseError 413 `body_too_large` for a bomb. */
function gunzipped(payload: Readable): Readable {
  let taken = 0;
  let given = 0;
  const counted = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      taken += chunk.length;
      done(null, chunk);
    },
  });
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const output = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      given += chunk.length;
      if (given > FREE_BYTES && given > taken * MAX_RATIO)
        done(new ReelfuseError(413, 'body_too_large', `the gzip body expands to more than ${MAX_RATIO} times its size`));
      else done(null, chunk);
    },
  });
  output.on('error', () => undefined); // where the request was refused before, nobody listens
  gunzip.on('error', (error) => output.destroy(new Error(`it is not gzip: ${error.message}`, { cause: error })));
  // an upload that breaks off ends the output with its error; none of them is destroyed while the answer still needs the socket
  payload.on('error', (error) => output.destroy(error));
  output.on('close', () => {
    payload.unpipe(counted);
    gunzip.destroy();
  });
  (payload as IncomingMessage).pipe(counted).pipe(gunzip).pipe(output);
  return output;
}
