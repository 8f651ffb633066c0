import { existsSync, readFileSync } from 'node:fs';
import type { HiddenStates } from '../domain/item.js';
import { InputError } from '../errors.js';
import { openSafetensors } from '../model/safetensors.js';
import { utf8Text } from '../utf8.js';
import type { FeaturesFile } from './features.js';
import { fileVersion } from './file-version.js';
import { faultIn, isZero, type ExpectedShape } from './item-input.js';
import { openNpy, type TensorRows } from './npy.js';

const TENSOR = 'hidden_states';

interface OpenedStates extends TensorRows {
  /** The metadata item_ids; undefined: the file has none. */
  ids: string | undefined;
}

function openStates(path: string): OpenedStates {
  if (/\.pth?$/.test(path)) throw new InputError(`${path}: is a file of PyTorch, which only Python reads; save hidden_states.numpy() by numpy.save`);
  if (path.endsWith('.npy')) return { ...openNpy(path), ids: undefined };
  const file = openSafetensors(path);
  try {
    const { dtype, shape } = file.info(TENSOR);
    return { dtype, shape, ids: file.metadata.item_ids, row: (position) => file.rows(TENSOR, position, 1), close: file.close };
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Opens a safetensors file with the tensor hidden_states, or a file of numpy.save, [N, L, D].
 * @throws InputError naming the file and what does not fit
 */
export function openFeaturesFile(path: string, expected: ExpectedShape | null): FeaturesFile {
  const file = openStates(path);
  try {
    const { dtype, shape } = file;
    const [count = 0, layers = 0, width = 0] = shape;
    if (shape.length !== 3) throw new InputError(`${path}: ${TENSOR} is [${shape.join(', ')}], wanted is [items, layers, hidden size]`);
    if (dtype !== 'F16' && dtype !== 'F32') throw new InputError(`${path}: ${TENSOR} is ${dtype}, wanted is F16 or F32`);
    if (expected !== null && (layers !== expected.layers || width !== expected.width)) {
      throw new InputError(`${path}: ${TENSOR} has ${layers} layers of ${width}, the model wants ${expected.layers} of ${expected.width}`);
    }
    const rows = idsOf(path, file.ids, count);
    const type = dtype === 'F16' ? 'float16' : 'float32';
    return {
      source: fileVersion(path),
      shape: { layers, width },
      count,
      read: (itemId) => {
        const row = rows.get(itemId);
        if (row === undefined) return null;
        const data = file.row(row);
        if (isZero(data)) return null;
        const states: HiddenStates = { dtype: type, shape: [layers, width], data };
        const fault = faultIn(states, expected);
        if (fault !== null) throw new InputError(`${path}: row ${row} (${itemId}) ${fault}`);
        return states;
      },
      itemIds: () => rows.keys(),
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Item ids by row: the file's own metadata, else `<name>.ids.txt` beside it. */
function idsOf(path: string, named: string | undefined, count: number): Map<string, number> {
  const sidecar = path.replace(/\.\w+$/, '.ids.txt');
  let ids: string[];
  if (named !== undefined) ids = parseIds(path, named);
  else if (existsSync(sidecar)) ids = linesOf(sidecar);
  else throw new InputError(`${path}: names no item ids; they must be in ${sidecar}, or in the metadata item_ids of a safetensors file`);
  if (ids.length !== count) throw new InputError(`${path}: names ${ids.length} item ids for ${count} rows`);
  const rows = new Map<string, number>();
  ids.forEach((id, row) => {
    if (rows.has(id)) throw new InputError(`${path}: item ${id} has two rows, ${rows.get(id)} and ${row}`);
    rows.set(id, row);
  });
  return rows;
}

/** Only LF ends a line, a CR before it is dropped, as the Python package reads this file. */
function linesOf(path: string): string[] {
  const text = utf8Text(readFileSync(path));
  if (text === null) throw new InputError(`${path}: is not UTF-8`);
  const lines = text.replace(/^\ufeff/, '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => line.replace(/\r$/, ''));
}

function parseIds(path: string, text: string): string[] {
  try {
    const ids: unknown = JSON.parse(text);
    if (Array.isArray(ids) && ids.every((id) => typeof id === 'string')) return ids;
  } catch {
    // reported below, like any other text that is not a list of strings
  }
  throw new InputError(`${path}: the metadata item_ids is not a JSON list of strings`);
}
