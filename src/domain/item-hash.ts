/** 48 bits of a multiplicative string hash (two 32-bit lanes): among a million ids, two collide with a probability of 0.002. */
export function hashOf(itemId: string): number {
  let low = 0x9e3779b9;
  let high = 0x85ebca6b;
  for (let at = 0; at < itemId.length; at++) {
    const code = itemId.charCodeAt(at);
    low = Math.imul(low ^ code, 0x9e3779b1);
    high = Math.imul(high ^ code, 0x5f356495);
  }
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high ^ (high >>> 13), 0xc2b2ae35);
  high = Math.imul(high ^ (high >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35);
  return ((high >>> 0) & 0xffff) * 0x1_0000_0000 + (low >>> 0);
}
