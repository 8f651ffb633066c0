/** `LONG_TESTS=1`, as in .ci/run: random tests take more seeds and rounds than a quick `npm test` has time for. */
export const isLong = process.env.LONG_TESTS === '1';
