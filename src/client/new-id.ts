/** A random id of 128 bits. Not randomUUID: browsers offer that to secure pages only. */
export const newId = (): string => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
