import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { FieldError } from './errors.js';
import { timeOf } from './time.js';

const OPTIONS = { allErrors: true, removeAdditional: false, useDefaults: true, strict: false } as const;

/** Bodies and rows are taken as they are; what stands in a URL is text and is converted to the schema's types. */
const bodies = new Ajv({ ...OPTIONS, coerceTypes: false });
const texts = new Ajv({ ...OPTIONS, coerceTypes: 'array' });
// what passes is what can be read: the same function does both
for (const ajv of [bodies, texts]) ajv.addFormat('date-time', (text) => timeOf(text) !== null);

export const compileSchema = (schema: object, from: 'body' | 'text' = 'body'): ValidateFunction => (from === 'body' ? bodies : texts).compile(schema);

const MAX_ERRORS = 20;
/** A caller's names are repeated up to this length; a longer one is pointed at by what holds it. */
const MAX_POINTER_LENGTH = 512;
const escape = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

function boundedPointer(pointer: string): string {
  let bounded = pointer;
  while (bounded.length > MAX_POINTER_LENGTH) bounded = bounded.slice(0, bounded.lastIndexOf('/'));
  return bounded;
}

/** Ajv's errors as JSON pointers with a reason; a missing or unknown field is pointed at itself, not at its parent. */
export function fieldErrors(errors: readonly ErrorObject[] | null | undefined, prefix = ''): FieldError[] {
  const found = (errors ?? [])
    .filter(({ keyword }) => keyword !== 'anyOf' && keyword !== 'propertyNames')
    .map(({ instancePath, keyword, params, message, propertyName }): FieldError => {
      const base = boundedPointer(prefix + instancePath);
      if (keyword === 'required') return { pointer: `${base}/${escape(String(params.missingProperty))}`, detail: 'is required' };
      if (keyword === 'additionalProperties')
        return { pointer: boundedPointer(`${base}/${escape(String(params.additionalProperty))}`), detail: 'is not a known field' };
      if (keyword === 'const') return { pointer: base, detail: `must be ${JSON.stringify(params.allowedValue)}` };
      if (propertyName !== undefined) return { pointer: base, detail: `has a name that ${message ?? keyword}` };
      return { pointer: base, detail: message ?? keyword };
    });
  return mergeAlternatives(found).slice(0, MAX_ERRORS);
}

/** The branches of a union complain one by one about the same place; say it once. */
function mergeAlternatives(errors: FieldError[]): FieldError[] {
  const byPointer = new Map<string, string[]>();
  for (const { pointer, detail } of errors) {
    const details = byPointer.get(pointer) ?? [];
    if (!details.includes(detail)) details.push(detail);
    byPointer.set(pointer, details);
  }
  return [...byPointer].map(([pointer, details]) => ({ pointer, detail: details.join(' or ') }));
}
