import { crc32 } from 'node:zlib';

/** CRC-32 of a blob, begun with its key: the blob of another row does not pass for it. */
export const checksumOf = (blob: Uint8Array, ...key: readonly string[]): number => crc32(blob, crc32(key.join('\0')));

/** Whether a blob is as it was written; true where no checksum was written with it. */
export const isSound = (checksum: number | null, blob: Uint8Array, ...key: readonly string[]): boolean =>
  checksum === null || checksum === checksumOf(blob, ...key);
