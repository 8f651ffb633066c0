import { isUtf8 } from 'node:buffer';

const REPLACEMENT = '\ufffd';

/** The text of bytes; null when they are not UTF-8. */
export const utf8Text = (bytes: Buffer): string | null => (isUtf8(bytes) ? bytes.toString('utf8') : null);

/** Number of the first byte, from 1, that belongs to no UTF-8 character: where decoding makes a replacement character that is not in the bytes. */
export function firstBadByte(bytes: Buffer): number {
  const text = bytes.toString('utf8');
  let from = 0;
  let offset = 0;
  for (let at = text.indexOf(REPLACEMENT); at >= 0; at = text.indexOf(REPLACEMENT, from)) {
    offset += Buffer.byteLength(text.slice(from, at));
    const isGiven = bytes[offset] === 0xef && bytes[offset + 1] === 0xbf && bytes[offset + 2] === 0xbd;
    if (!isGiven) return offset + 1;
    offset += 3;
    from = at + 1;
  }
  return bytes.length;
}
