import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGpuScanIndex } from '../../src/index/gpu-scan.js';
import { createScanIndex } from '../../src/index/scan.js';
import { CHUNK_SLOTS, createVectorTable, makeChunk } from '../../src/index/vector-table.js';
import { makeLock, mutexOf } from '../../src/threads/mutex.js';
import { scanConformance } from './scan-conformance.js';

scanConformance('scan in 8 bits', createScanIndex, 0.01);
scanConformance('scan in float32, fed', (table) => createGpuScanIndex(table, 'cpu', mutexOf(makeLock())), 0);

test('a catalogue that has outgrown the scan is never searched by it again', () => {
  const table = createVectorTable(4);
  const scan = createScanIndex(table);
  const put = (slot: number): void => {
    while (table.capacity <= slot) table.attach(makeChunk(4));
    table.write(slot, Float32Array.of(1, 2, 3, 4), true);
    scan.add(slot);
  };
  put(0);
  put(1);
  assert.equal(scan.isCheaper(16), true);
  put(2 * CHUNK_SLOTS);
  assert.equal(scan.isCheaper(16), false);
  put(2);
  scan.remove(0);
  assert.equal(scan.isCheaper(16), false);
});

test('where more vectors are far longer than the others than can be scored apart, the graph is to answer, until they are gone', (t) => {
  const table = createVectorTable(4);
  table.attach(makeChunk(4));
  const scan = createScanIndex(table);
  t.after(() => scan.close());
  const put = (slot: number, length: number): void => {
    table.write(slot, Float32Array.of(length, -length, length, length), false);
    scan.add(slot);
  };
  for (let slot = 0; slot < 2000; slot++) put(slot, 1);
  for (let slot = 2000; slot < 2064; slot++) put(slot, 100);
  assert.equal(scan.isCheaper(16), true);
  put(2064, 100);
  assert.equal(scan.isCheaper(16), false);
  put(2064, 1);
  assert.equal(scan.isCheaper(16), true);
});
