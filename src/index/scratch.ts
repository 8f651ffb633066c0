type Values = Float32Array | Float64Array | Int32Array | Int8Array | Uint8Array;

/**
 * Memory that every batch uses again. What is made anew for each is zeroed, copied and freed, by collections that all open
 * requests wait for.
 * @returns a function that gives a view of so many values, with whatever the last use left in them; it is good until the next call
 */
export function createScratch<Kind extends Values>(make: new (length: number) => Kind): (length: number) => Kind {
  let values = new make(0);
  return (length) => {
    if (values.length < length) values = new make(Math.max(length, 2 * values.length));
    return values.subarray(0, length) as Kind; // a view is of the same kind
  };
}
