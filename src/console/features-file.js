/**
 * Hidden states out of a safetensors file: one item's, or a row of a file like `dff extract` and the demo's, which name the
 * items in their metadata. Only the header and the row are read, so the file may be of any size.
 *
 * @typedef {{dtype: 'float16' | 'float32', shape: [number, number], data: string}} HiddenStates as they travel in JSON
 * @typedef {{itemIds: string[] | null, read: (row: number) => Promise<HiddenStates>}} Features itemIds: by row; null for one item
 */

const TENSOR = 'hidden_states';
const MAX_HEADER_BYTES = 64 * 1024 * 1024;
/** @type {Record<string, {dtype: 'float16' | 'float32', bytes: number}>} */
const TYPES = { F16: { dtype: 'float16', bytes: 2 }, F32: { dtype: 'float32', bytes: 4 } };

/**
 * @param {Blob} file
 * @returns {Promise<Features>}
 * @throws Error that says what is wrong with the file
 */
export async function openFeatures(file) {
  const length = Number(new DataView(await file.slice(0, 8).arrayBuffer().then((bytes) => (bytes.byteLength === 8 ? bytes : new ArrayBuffer(8)))).getBigUint64(0, true));
  if (length === 0 || length > MAX_HEADER_BYTES || length + 8 > file.size) throw new Error('is not a safetensors file');
  let header;
  try {
    header = JSON.parse(await file.slice(8, 8 + length).text());
  } catch {
    throw new Error('is not a safetensors file: its header is not JSON');
  }
  const tensor = header[TENSOR];
  if (!tensor) throw new Error(`has no tensor ${TENSOR}`);
  const type = TYPES[tensor.dtype];
  if (!type) throw new Error(`holds ${tensor.dtype}, wanted is F16 or F32`);
  const [width = 0, layers = 0, rows] = [...tensor.shape].reverse();
  if (tensor.shape.length !== 2 && tensor.shape.length !== 3) throw new Error(`is [${tensor.shape.join(', ')}], wanted is [layers, hidden size] or [items, layers, hidden size]`);
  const size = layers * width * type.bytes;
  const begin = 8 + length + tensor.data_offsets[0];
  return {
    itemIds: rows === undefined ? null : idsOf(header['__metadata__']?.item_ids, rows),
    read: async (row) => ({
      dtype: type.dtype,
      shape: [layers, width],
      data: await base64(file.slice(begin + row * size, begin + (row + 1) * size)),
    }),
  };
}

/**
 * @param {string | undefined} text JSON
 * @param {number} rows
 * @returns {string[]}
 */
function idsOf(text, rows) {
  try {
    const ids = JSON.parse(text ?? '');
    if (Array.isArray(ids) && ids.length === rows) return ids.map(String);
  } catch {
    // rows have numbers then
  }
  return Array.from({ length: rows }, (_, row) => `row ${row}`);
}

/**
 * @param {Blob} bytes
 * @returns {Promise<string>}
 */
function base64(bytes) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener('load', () => resolve(String(reader.result).replace(/^[^,]*,/, '')));
    reader.addEventListener('error', () => reject(new Error('could not be read')));
    reader.readAsDataURL(bytes);
  });
}
