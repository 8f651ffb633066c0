import * as crypto from 'node:crypto';
import { hashOf } from '../domain/item-hash.js';
import { ReelfuseError, invalidRequest } from '../errors.js';

/** What a cursor carries: everything that its pages need, so that a restart, a swap or another replica can go on. */
export interface Session {
  /** Hashes of the items that were shown, in order. */
  shown: number[];
  expiresAt: number;
}

export interface Cursors {
  /**
   * @param identity what must stay the same from page to page
   * @throws ReelfuseError 422 `invalid_request`, 410 `cursor_expired`
   */
  open(cursor: string, identity: string, now: number): Session;
  /** Null: the session has shown as much as it may. */
  seal(shown: readonly number[], identity: string, now: number): string | null;
}

const VERSION = 1;
const MAC_BYTES = 16;
const IDENTITY_BYTES = 8;
const HASH_BYTES = 6;
/** version, expiry in seconds, identity */
const HEADER_BYTES = 1 + 4 + IDENTITY_BYTES;
/** Items of one session; a cursor of so many is 40 kB. */
export const MAX_SHOWN = 5000;
export const MAX_CURSOR_LENGTH = Math.ceil(((HEADER_BYTES + MAX_SHOWN * HASH_BYTES + MAC_BYTES) * 4) / 3) + 4;

/** One SHA-256, a character a byte: strings are cheaper than buffers of their own. Node 20.12 and later do it without an object in between. */
const digestOf = (data: Buffer): string =>
  typeof crypto.hash === 'function' ? crypto.hash('sha256', data, 'binary') : crypto.createHash('sha256').update(data).digest('binary');

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;

/** The two padded keys of HMAC, the outer one with room for a digest behind it. */
function keyBlocks(secret: string): { inner: Buffer; outer: Buffer } {
  const bytes = Buffer.from(secret);
  const key = Buffer.alloc(BLOCK_BYTES);
  (bytes.length > BLOCK_BYTES ? Buffer.from(digestOf(bytes), 'binary') : bytes).copy(key);
  return { inner: key.map((byte) => byte ^ 0x36) as Buffer, outer: Buffer.concat([key.map((byte) => byte ^ 0x5c), Buffer.alloc(DIGEST_BYTES)]) };
}

/** Pages without state on the server: a cursor lists, signed, what was shown; whoever holds the secret can read it. */
export function createCursors(secret: string, minutes: number): Cursors {
  // no secret, and signed with the rest: two hashes tell users, items and filters apart
  const writeIdentity = (identity: string, bytes: Buffer, at: number): void => {
    bytes.writeUInt32BE(hashOf(identity) >>> 0, at);
    bytes.writeUInt32BE(hashOf(`${identity.length} ${identity}`) >>> 0, at + 4);
  };
  const identityOf = (identity: string): Buffer => {
    const bytes = Buffer.alloc(IDENTITY_BYTES);
    writeIdentity(identity, bytes, 0);
    return bytes;
  };
  const { inner, outer } = keyBlocks(secret);
  // HMAC-SHA-256 (RFC 2104); one-shot digests cost a third of what an Hmac object does
  const macOf = (content: Buffer): string => {
    outer.write(digestOf(Buffer.concat([inner, content])), BLOCK_BYTES, 'binary');
    return digestOf(outer).slice(0, MAC_BYTES);
  };
  const refuse = (detail: string): ReelfuseError => invalidRequest([{ pointer: '/cursor', detail }]);

  return {
    open: (cursor, identity, now) => {
      const bytes = Buffer.from(cursor, 'base64url');
      const end = bytes.length - MAC_BYTES;
      const content = bytes.subarray(0, Math.max(end, 0));
      if (end < HEADER_BYTES || content[0] !== VERSION || !crypto.timingSafeEqual(Buffer.from(macOf(content), 'binary'), bytes.subarray(end)))
        throw refuse('is not a cursor of this server');
      const expiresAt = content.readUInt32BE(1) * 1000;
      if (!content.subarray(5, HEADER_BYTES).equals(identityOf(identity))) throw refuse('belongs to another user, item or filter');
      if (expiresAt <= now) throw new ReelfuseError(410, 'cursor_expired', 'the session of this cursor has expired; ask for a first page');
      const shown: number[] = [];
      for (let at = HEADER_BYTES; at < end; at += HASH_BYTES) shown.push(content.readUIntBE(at, HASH_BYTES));
      return { shown, expiresAt };
    },
    seal: (shown, identity, now) => {
      if (shown.length > MAX_SHOWN) return null;
      const end = HEADER_BYTES + shown.length * HASH_BYTES;
      const bytes = Buffer.allocUnsafe(end + MAC_BYTES); // of Node's pool, and every byte is written
      bytes[0] = VERSION;
      bytes.writeUInt32BE(Math.floor(now / 1000) + minutes * 60, 1);
      writeIdentity(identity, bytes, 5);
      let at = HEADER_BYTES;
      for (const hash of shown) {
        const high = Math.floor(hash / 2 ** 32);
        bytes[at++] = high >>> 8;
        bytes[at++] = high & 0xff;
        at = bytes.writeUInt32BE(hash >>> 0, at);
      }
      bytes.write(macOf(bytes.subarray(0, end)), end, 'binary');
      return bytes.toString('base64url');
    },
  };
}
