/** IEEE 754 binary16 → binary32, a table of all 65,536 values: a large import converts hundreds of millions of numbers. */
const TABLE = ((): Float32Array => {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction === 0 ? sign * Infinity : NaN;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
})();

export function halfToFloat(halves: Uint16Array, into = new Float32Array(halves.length), offset = 0): Float32Array {
  for (let i = 0; i < halves.length; i++) into[offset + i] = TABLE[halves[i] as number] as number; // i is within both
  return into;
}
