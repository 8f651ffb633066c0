import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';

/** Wrong keys of an address before it has to wait. */
const FREE_FAILURES = 10;
/** Failures are forgotten after this time without another one. */
const FORGET_MS = 600_000;
const MAX_WAIT_SECONDS = 30;
const MAX_ADDRESSES = 10_000;

interface Failures {
  count: number;
  blockedUntil: number;
}

export interface FailedKeys {
  /** Seconds for which keys of this address are not compared; 0: they are. */
  blockedFor(address: string): number;
  /** A wrong key came from this address. */
  fail(address: string): void;
}

/**
 * Slows down the guessing of keys. After 10 wrong keys each further one blocks its address for 1, 2, 4, … 30 s. The 10,000 addresses that failed
 * last are remembered.
 * @param now milliseconds
 */
export function createFailedKeys(now = (): number => performance.now()): FailedKeys {
  const addresses = new LRUCache<string, Failures>({ max: MAX_ADDRESSES, ttl: FORGET_MS, ttlResolution: 0, perf: { now } });
  return {
    blockedFor: (address) => {
      if (addresses.size === 0) return 0;
      const failures = addresses.get(networkOf(address));
      return failures === undefined ? 0 : Math.max(0, Math.ceil((failures.blockedUntil - now()) / 1000));
    },
    fail: (address) => {
      const network = networkOf(address);
      const count = (addresses.get(network)?.count ?? 0) + 1;
      const seconds = count < FREE_FAILURES ? 0 : Math.min(MAX_WAIT_SECONDS, 2 ** (count - FREE_FAILURES));
      addresses.set(network, { count, blockedUntil: now() + seconds * 1000 });
    },
  };
}

/** An IPv4 address, or the /64 of an IPv6 address: one caller has all addresses of it. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').toLowerCase().split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  return [...first, ...Array.from({ length: missing }, () => '0'), ...last]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}
