import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGpuScanIndex } from '../../src/index/gpu-scan.js';
import { createScanIndex } from '../../src/index/scan.js';
import { CHUNK_SLOTS, createVectorTable, makeChunk } from '../../src/index/vector-table.js';
import { makeLock, turnsOf } from '../../src/threads/turns.js';
import { scanConformance } from './scan-conformance.js';

scanConformance('scan in 8 bits', createScanIndex, 0.01);
scanConformance('scan in float32, fed', (table) => createGpuScanIndex(table, 'cpu', turnsOf(makeLock())), 0);

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
