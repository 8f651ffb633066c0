import { InputError, type FieldError } from '../errors.js';
import { TIME_EXPECTED, rfcTimeOf } from './file-times.js';
import type { Row } from './import-rows.js';

/** Types that a column's name may end in, as `duration_s:number`. */
const TYPES = ['string', 'number', 'boolean', 'time', 'strings', 'list'] as const;
type CellType = (typeof TYPES)[number];

const FIELDS = ['item_id', 'item', 'title', 'author_id', 'attributes', 'available_from', 'expires_at', 'hidden', 'hidden_states'];
const TIME_FIELDS = ['available_from', 'expires_at'];
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const DECIMAL_COMMA = /^[+-]?\d+,\d+$/;
/** What pandas, R and databases write for a missing value. In a column of text these are text. */
export const MISSING = /^(nan|na|n\/a|null|none|<na>|nat)$/i;

/**
 * Checks the header of a CSV file of items, once for all rows.
 * @throws InputError that names the column and what to do
 */
export function checkItemColumns(file: string, columns: readonly string[]): void {
  if (!columns.includes('item_id') && !columns.includes('item')) {
    const found = columns.map((column) => JSON.stringify(column)).join(', ');
    throw new InputError(`${file}: has no column item_id, only ${found.slice(0, 500)}: rename the column that holds the ids`);
  }
  for (const column of columns) if (!FIELDS.includes(column)) attributeOf(column, file);
}

/** @throws InputError for an unknown type */
function attributeOf(column: string, file = ''): { name: string; type: CellType } {
  if (/^__proto__(:|$)/.test(column)) throw new InputError(`${file}: the column ${JSON.stringify(column)} cannot be an attribute: rename it`);
  const at = column.lastIndexOf(':');
  if (at < 0) return { name: column, type: 'string' };
  const [name, type] = [column.slice(0, at), column.slice(at + 1)];
  const known = TYPES.find((candidate) => candidate === type);
  if (known === undefined || name === '')
    throw new InputError(
      `${file}: the column ${JSON.stringify(column)} has the unknown type ${JSON.stringify(type)}: after a colon stands ` +
        `${TYPES.join(', ')}; rename the column or leave it out`,
    );
  return { name, type: known };
}

/**
 * A CSV record as an item: known columns are fields, every other column is an attribute. `name:number`, `name:boolean`, `name:time` and
 * `name:strings` or `name:list` (separated by |) give its type. Empty cells are left out, and in columns of numbers, booleans and times also
 * NaN, NA, NULL and None.
 * @returns errors for cells that are not of the type of their column
 */
export function itemOfRecord(record: Record<string, string>): Row {
  const item: Record<string, unknown> = {};
  const attributes: Record<string, unknown> = {};
  const errors: FieldError[] = [];
  const take = (target: Record<string, unknown>, name: string, pointer: string, cell: string, type: CellType): void => {
    if ((type === 'number' || type === 'boolean' || type === 'time') && MISSING.test(cell.trim())) return;
    const value = typed(cell, type);
    if (value === null) errors.push({ pointer, detail: reasonOf(cell.trim(), type) });
    else target[name] = value;
  };
  for (const [column, cell] of Object.entries(record)) {
    if (cell.trim() === '') continue;
    if (column === 'item' || column === 'item_id') item.item_id = cell;
    else if (column === 'hidden') take(item, column, '/hidden', cell, 'boolean');
    else if (TIME_FIELDS.includes(column) && MISSING.test(cell.trim())) continue;
    else if (FIELDS.includes(column)) item[column] = cell;
    else {
      const { name, type } = attributeOf(column);
      take(attributes, name, `/attributes/${name}`, cell, type);
    }
  }
  return errors.length > 0 ? { errors } : { value: { ...item, attributes } };
}

/** Null: the cell is not of the type. */
function typed(cell: string, type: CellType): string | number | boolean | string[] | null {
  if (type === 'string') return cell;
  if (type === 'list' || type === 'strings') return cell.split('|');
  const text = cell.trim();
  if (type === 'time') return rfcTimeOf(text);
  if (type === 'number') return DECIMAL.test(text) && Number.isFinite(Number(text)) ? Number(text) : null;
  return /^(true|1)$/i.test(text) ? true : /^(false|0)$/i.test(text) ? false : null;
}

function reasonOf(text: string, type: CellType): string {
  const shown = JSON.stringify(text.slice(0, 100));
  if (type === 'time') return `${shown} ${TIME_EXPECTED}`;
  if (type === 'boolean') return `${shown} is neither true nor false`;
  return DECIMAL_COMMA.test(text) ? `${shown} has a decimal comma: write a point` : `${shown} is not a number`;
}
