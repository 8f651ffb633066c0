type Values = Float32Array | Float64Array | Int32Array | Int8Array | Uint8Array;

/**
 * Memory that every batch uses again. A new array for each batch would be zeroed and freed, and all open requests wait for the garbage
 * collections. Measured at 32 connections: 10,485 → 11,369 requests/s (bench/LOG.md).
 * @returns a function that gives a view of `length` values with undefined content, valid until the next call
 */
export function createScratch<Kind extends Values>(make: new (length: number) => Kind): (length: number) => Kind {
  let values = new make(0);
  return (length) => {
    if (values.length < length) values = new make(Math.max(length, 2 * values.length));
    return values.subarray(0, length) as Kind; // a view is of the same kind
  };
}
