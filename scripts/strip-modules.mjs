// Takes from node_modules what an image has no use for: ONNX Runtime for other machines, what compilers leave, source maps.
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const MODULES = 'node_modules';
const NATIVE = { 'better-sqlite3': ['better_sqlite3.node'], 'hnswlib-node': ['addon.node'] };

const names = (folder) => (existsSync(folder) ? readdirSync(folder) : []);
const sizeOf = (path) => {
  const stat = lstatSync(path);
  return stat.isDirectory() ? names(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : stat.size;
};
let removed = 0;
const remove = (path) => {
  removed += sizeOf(path);
  rmSync(path, { recursive: true });
};
const keep = (folder, wanted) => {
  for (const name of names(folder)) if (!wanted.includes(name)) remove(join(folder, name));
};

for (const napi of names(join(MODULES, 'onnxruntime-node', 'bin'))) {
  const folder = join(MODULES, 'onnxruntime-node', 'bin', napi);
  keep(folder, [process.platform]);
  keep(join(folder, process.platform), [process.arch]);
}
for (const [name, files] of Object.entries(NATIVE)) {
  const folder = join(MODULES, name);
  for (const source of ['deps', 'src']) if (existsSync(join(folder, source))) remove(join(folder, source));
  keep(join(folder, 'build'), ['Release']);
  keep(join(folder, 'build', 'Release'), files);
}
for (const { name, parentPath, path } of readdirSync(MODULES, { recursive: true, withFileTypes: true }))
  if (name.endsWith('.map')) remove(join(parentPath ?? path, name)); // Node 20 has `path`

process.stdout.write(`removed ${Math.round(removed / 2 ** 20)} MiB from ${MODULES}, left are ${Math.round(sizeOf(MODULES) / 2 ** 20)} MiB\n`);
