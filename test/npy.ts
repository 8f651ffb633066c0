/** An array of NumPy's format 1.0, in rows. */
export function npyOf(shape: readonly number[], values: Float32Array | Uint16Array, descr = values instanceof Float32Array ? '<f4' : '<f2'): Buffer {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  const length = Math.ceil((10 + header.length + 1) / 64) * 64 - 10;
  const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, length & 255, length >> 8]);
  return Buffer.concat([start, Buffer.from(`${header.padEnd(length - 1)}\n`), Buffer.from(values.buffer)]);
}
