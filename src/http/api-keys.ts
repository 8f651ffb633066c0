import { createHash, timingSafeEqual } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { readApiKeys, type ApiKey, type Scope } from '../config.js';
import { messageOf } from '../errors.js';
import { createRateLimiter, type RateLimiter, type RateLimits } from './rate-limit.js';

export interface KnownKey {
  digest: Buffer;
  scopes: Scope[];
  /** Null: nothing is limited. */
  limiter: RateLimiter | null;
  /** Networks from which the key came within the last hour. */
  networks: LRUCache<string, true>;
}

export interface KeyRing {
  /** Compares digests of equal length with every key, in constant time. */
  find(secret: string): KnownKey | null;
  /**
   * Takes effect with the next request. A key that stays keeps what it has used of its limits.
   * @returns whether keys or scopes differ from the previous ones
   */
  replace(keys: readonly ApiKey[]): boolean;
  readonly size: number;
}

const MAX_NETWORKS = 1000;
const REMEMBERED_MS = 3_600_000;

const fingerprintOf = (keys: readonly KnownKey[]): string => keys.map(({ digest, scopes }) => `${digest.toString('hex')} ${scopes.join()}`).join();

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

export function createKeyRing(keys: readonly ApiKey[], limits: RateLimits): KeyRing {
  let known: KnownKey[] = [];
  const replace = (next: readonly ApiKey[]): boolean => {
    const before = fingerprintOf(known);
    known = next.map(({ secret, scopes }) => {
      const digest = digestOf(secret);
      const stays = known.find((key) => key.digest.equals(digest));
      return {
        digest,
        scopes,
        limiter: stays === undefined ? createRateLimiter(limits) : stays.limiter,
        networks: stays?.networks ?? new LRUCache<string, true>({ max: MAX_NETWORKS, ttl: REMEMBERED_MS }),
      };
    });
    return fingerprintOf(known) !== before;
  };
  replace(keys);
  return {
    find: (secret) => {
      const given = digestOf(secret);
      let found: KnownKey | null = null;
      for (const key of known) if (timingSafeEqual(key.digest, given)) found = key;
      return found;
    },
    replace,
    get size() {
      return known.length;
    },
  };
}

const POLL_MS = 2000;

/**
 * Takes over the keys of a file when it changes. A file that is missing, malformed or empty changes nothing, and the log says so once.
 * @returns stops it
 */
export function followKeyFile(file: string, ring: Pick<KeyRing, 'replace'>, log: Pick<Logger, 'info' | 'warn'>, pollMs = POLL_MS): () => void {
  let seen: string | null = null;
  let isChecking = false;
  const check = async (): Promise<void> => {
    const version = await versionOf(file);
    if (version === seen) return;
    seen = version; // the first time too: the file may have changed since the settings were read
    try {
      const keys = readApiKeys(file);
      if (keys.length === 0) throw new Error('it holds no key');
      if (ring.replace(keys)) log.info({ keys: keys.length }, 'the file of API keys has changed: its keys are in use');
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the file of API keys cannot be used: the previous keys stay in use');
    }
  };
  const poll = (): void => {
    if (isChecking) return; // a file system that hangs
    isChecking = true;
    void check().finally(() => (isChecking = false));
  };
  poll();
  const timer = setInterval(poll, pollMs).unref();
  return () => clearInterval(timer);
}

/** Changes with the content; a replaced file has another inode. */
async function versionOf(file: string): Promise<string> {
  try {
    const { mtimeMs, ctimeMs, ino, size } = await stat(file);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return messageOf(error);
  }
}
