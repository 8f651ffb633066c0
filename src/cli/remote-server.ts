import { readFileSync } from 'node:fs';
import { InputError, messageOf } from '../errors.js';

/** @throws InputError */
export function originOf(url: string): string {
  if (!URL.canParse(url)) throw new InputError(`--url must be like http://127.0.0.1:8080, got ${JSON.stringify(url)}`);
  const { origin, pathname, search, hash } = new URL(url);
  if (pathname !== '/' || search !== '' || hash !== '')
    throw new InputError(`--url must end after host and port, as ${origin}, got ${JSON.stringify(url)}`);
  return origin;
}

/** @throws InputError */
export function readKey(file: string): string {
  let key: string;
  try {
    key = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new InputError(`--api-key-file ${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  // the message must not hold it
  if (!/^[\x21-\x7e]+$/.test(key)) throw new InputError(`--api-key-file ${file} must hold one key, of visible ASCII characters, and nothing else`);
  return key;
}
