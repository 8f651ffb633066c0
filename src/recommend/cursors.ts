import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import { hashOf } from '../domain/item-hash.js';
import { ReelfuseError, invalidRequest } from '../errors.js';

/** Content of a cursor: all that the next page needs. A session therefore continues after a restart or a model swap, and on another replica. */
export interface Session {
  /** `hashOf` of the ids of the shown items, in order. */
  shown: number[];
  /** Milliseconds since 1970. */
  expiresAt: number;
}

export interface Cursors {
  /**
   * Verifies and reads a cursor.
   * @param identity text of user, item and filter, which must be the same for every page of a session
   * @param now milliseconds since 1970; that of `seal` and `open` must not jump, or sessions end early or late
   * @throws ReelfuseError 422 `invalid_request`, 410 `cursor_expired`
   */
  open(cursor: string, identity: string, now: number): Session;
  /** Makes the cursor of the next page. @returns null when the session has shown more than MAX_SHOWN items */
  seal(shown: readonly number[], identity: string, now: number): string | null;
}

const VERSION = 1;
/** The first half of an HMAC-SHA-256, which RFC 2104 allows. */
const MAC_BYTES = 16;
const IDENTITY_BYTES = 8;
const HASH_BYTES = 6;
/** The last time that a cursor can hold, in the year 2106. */
const MAX_SECONDS = 2 ** 32 - 1;
/** version, expiry in seconds, identity */
const HEADER_BYTES = 1 + 4 + IDENTITY_BYTES;
/** Items that one session may show. A cursor of 5,000 items is 40 kB long. */
export const MAX_SHOWN = 5000;
export const MAX_CURSOR_LENGTH = Math.ceil(((HEADER_BYTES + MAX_SHOWN * HASH_BYTES + MAC_BYTES) * 4) / 3) + 4;

/**
 * Makes and reads cursors. The server keeps no state between pages: a cursor is a signed list of the shown items. It is not encrypted.
 * @param minutes time until a cursor expires
 */
export function createCursors(secret: string, minutes: number): Cursors {
  // the signature protects the identity, so two 32-bit hashes are enough to tell users, items and filters apart
  const writeIdentity = (identity: string, bytes: Buffer, at: number): void => {
    bytes.writeUInt32BE(hashOf(identity) >>> 0, at);
    bytes.writeUInt32BE(hashOf(`${identity.length} ${identity}`) >>> 0, at + 4);
  };
  const identityOf = (identity: string): Buffer => {
    const bytes = Buffer.alloc(IDENTITY_BYTES);
    writeIdentity(identity, bytes, 0);
    return bytes;
  };
  const key = createSecretKey(Buffer.from(secret));
  /** As Latin-1: a Buffer of its own for each digest would cost more than the digest's text. */
  const macOf = (content: Buffer): string => createHmac('sha256', key).update(content).digest('binary').slice(0, MAC_BYTES);
  const refuse = (detail: string): ReelfuseError => invalidRequest([{ pointer: '/cursor', detail }]);

  return {
    open: (cursor, identity, now) => {
      const bytes = Buffer.from(cursor, 'base64url');
      const end = bytes.length - MAC_BYTES;
      const content = bytes.subarray(0, Math.max(end, 0));
      if (end < HEADER_BYTES || content[0] !== VERSION || !timingSafeEqual(Buffer.from(macOf(content), 'latin1'), bytes.subarray(end)))
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
      const bytes = Buffer.allocUnsafe(end + MAC_BYTES); // from Node's pool; every byte is written below
      bytes[0] = VERSION;
      bytes.writeUInt32BE(Math.min(Math.max(0, Math.floor(now / 1000) + minutes * 60), MAX_SECONDS), 1);
      writeIdentity(identity, bytes, 5);
      let at = HEADER_BYTES;
      for (const hash of shown) {
        const high = Math.floor(hash / 2 ** 32);
        bytes[at++] = high >>> 8;
        bytes[at++] = high & 0xff;
        at = bytes.writeUInt32BE(hash >>> 0, at);
      }
      bytes.write(macOf(bytes.subarray(0, end)), end, 'latin1');
      return bytes.toString('base64url');
    },
  };
}
