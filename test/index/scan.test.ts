import { createGpuScanIndex } from '../../src/index/gpu-scan.js';
import { createScanIndex } from '../../src/index/scan.js';
import { makeLock, turnsOf } from '../../src/threads/turns.js';
import { scanConformance } from './scan-conformance.js';

scanConformance('scan in 8 bits', createScanIndex, 0.01);
scanConformance('scan in float32, fed', (table) => createGpuScanIndex(table, 'cpu', turnsOf(makeLock())), 0);
