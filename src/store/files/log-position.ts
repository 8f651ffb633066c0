import { randomFillSync } from 'node:crypto';

const PREFIX = 'rec_';
const NONCE_BYTES = 6;
const OFFSET_AT = 4;
const NONCE_AT = OFFSET_AT + 6;
const ID_BYTES = NONCE_AT + NONCE_BYTES;
/** Nonces drawn in one call: a call for each costs more than its bytes. */
const NONCES = 512;

/** Position of an entry in the log. A recommendation id is the position in base64url. */
export interface LogPosition {
  /** Hours since 1970; names the file. */
  hour: number;
  /** Bytes from the beginning of the file. */
  offset: number;
  /** Hexadecimal. The entry holds it too, so that an id cannot be guessed. */
  nonce: string;
}

/** The position of an id; null when `createIds` cannot have made it. */
export function positionOf(id: string): LogPosition | null {
  const bytes = Buffer.from(id.slice(PREFIX.length), 'base64url');
  if (!id.startsWith(PREFIX) || bytes.length !== ID_BYTES) return null;
  return { hour: bytes.readUInt32BE(0), offset: bytes.readUIntBE(OFFSET_AT, 6), nonce: bytes.subarray(NONCE_AT).toString('hex') };
}

export interface Ids {
  /** Draws the nonce of the next id. @returns it in hexadecimal */
  nextNonce(): string;
  /** The id of a position, with the nonce that was drawn last. */
  idAt(hour: number, offset: number): string;
}

/** Makes ids for the entries of one log. */
export function createIds(): Ids {
  const nonces = Buffer.alloc(NONCE_BYTES * NONCES);
  let digits = '';
  let next = nonces.length;
  /** Each id is written here. */
  const id = Buffer.alloc(ID_BYTES);
  return {
    nextNonce: () => {
      if (next === nonces.length) {
        randomFillSync(nonces);
        digits = nonces.toString('hex');
        next = 0;
      }
      nonces.copy(id, NONCE_AT, next, next + NONCE_BYTES);
      next += NONCE_BYTES;
      return digits.slice((next - NONCE_BYTES) * 2, next * 2);
    },
    idAt: (hour, offset) => {
      id.writeUInt32BE(hour, 0);
      id.writeUInt16BE(Math.floor(offset / 2 ** 32), OFFSET_AT);
      id.writeUInt32BE(offset >>> 0, OFFSET_AT + 2);
      return PREFIX + id.toString('base64url');
    },
  };
}
