import { messageOf } from '../../errors.js';

/** Uses each part once on a tiny input. @returns the detail to show */
const PROBES: Record<string, () => Promise<string>> = {
  'better-sqlite3': async () => {
    const { default: Database } = await import('better-sqlite3');
    const database = new Database(':memory:');
    const version = database.prepare<[], string>('SELECT sqlite_version()').pluck().get();
    database.close();
    return `SQLite ${version}`;
  },
  'hnswlib-node': async () => {
    const { default: hnswlib } = await import('hnswlib-node');
    const index = new hnswlib.HierarchicalNSW('ip', 16);
    index.initIndex(4);
    index.addPoint(new Array<number>(16).fill(1), 3);
    const [found] = index.searchKnn(new Array<number>(16).fill(1), 1).neighbors;
    if (found !== 3) throw new Error(`a search gave ${found} where 3 was put`);
    return 'builds and searches';
  },
  'onnxruntime-node': async () => {
    const { env, listSupportedBackends } = await import('onnxruntime-node');
    const providers = listSupportedBackends().map(({ name }) => name);
    return `ONNX Runtime ${env.versions.node ?? env.versions.common}, built with ${providers.join(', ')}`;
  },
};

try {
  const probe = PROBES[process.argv[2] ?? ''];
  if (probe === undefined) throw new Error('no such part');
  process.stdout.write(await probe());
} catch (error) {
  process.stderr.write(messageOf(error).split('\n')[0] ?? '');
  process.exitCode = 1;
}
