/** What a body may cost, checked while it arrives. */
export interface BodyLimits {
  /** Maximum size after decompression, bytes. REELFUSE_BODY_LIMIT_MB applies as well. */
  maxBytes: number;
  /** Maximum number of values: elements of arrays and members of objects, at any depth. */
  maxValues: number;
  /** For a body `{name: [row, …]}`: the rows are parsed one by one, so that no turn of the event loop is long. Absent: parsed as a whole. */
  rows?: RowLimits;
}

export interface RowLimits {
  maxBytes: number;
  maxValues: number;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent: SMALL_BODY. */
    body?: BodyLimits;
  }
}

export const MIB = 1024 * 1024;

/** Text up to this size is parsed at once and not measured: whatever it holds, that takes about a millisecond. */
export const CHEAP_BYTES = 16 * 1024;

/** For routes that take a few fields. */
export const SMALL_BODY: BodyLimits = { maxBytes: 64 * 1024, maxValues: 1000 };

/** An item with hidden states: 80 layers × 8,192 as float32 in base64 are 3.5 MiB. 64 attributes of 100 strings are 6,464 values. */
export const ITEM_BODY: BodyLimits = { maxBytes: 4 * MIB, maxValues: 10_000 };

/** What stands beside the rows of a body. */
export const ENVELOPE = { maxBytes: 64 * 1024, maxValues: 1000 };

/** Depth of arrays and objects in each other. A filter of the maximum depth in a batch has 24. */
export const MAX_DEPTH = 64;

/** A gzip body that expands further than this is a bomb; JSON of hidden states, items or events compresses by less than 20. */
export const MAX_RATIO = 100;
