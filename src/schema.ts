import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { ID_PATTERNS, ID_RULE } from './ids.js';
import { pointerTo, type FieldError } from './errors.js';
import { timeOf } from './time.js';

/** Errors after which a validator stops. Branches of unions count too, so there are more of them than MAX_ERRORS. */
const MAX_RAW_ERRORS = 256;

/** What the code of a validator throws when it has found enough. */
interface Enough {
  found: ErrorObject[];
}

/**
 * With `allErrors` Ajv collects every error, of a body with millions of wrong values millions. It has no limit for them, so its generated
 * code gets one: a branch of a union whose errors are dropped later never has this many.
 */
const stopping = (code: string): string => code.replaceAll('errors++;', `if (++errors === ${MAX_RAW_ERRORS}) throw { found: vErrors };`);

const OPTIONS = { allErrors: true, removeAdditional: false, useDefaults: true, strict: false, code: { process: stopping } } as const;

/** Bodies and rows are validated as they are. Text of URLs and headers is converted to the types of the schema. */
const bodies = new Ajv({ ...OPTIONS, coerceTypes: false });
const texts = new Ajv({ ...OPTIONS, coerceTypes: 'array' });
// validated by the function that parses times later on
for (const ajv of [bodies, texts]) ajv.addFormat('date-time', (text) => timeOf(text) !== null);

/** @returns null: the value is valid */
export type Validate = (value: unknown) => readonly ErrorObject[] | null;

export function compileSchema(schema: object, from: 'body' | 'text' = 'body'): Validate {
  const validate: ValidateFunction = (from === 'body' ? bodies : texts).compile(schema);
  return (value) => {
    try {
      return validate(value) ? null : (validate.errors ?? []);
    } catch (error) {
      const { found } = error as Partial<Enough>;
      if (found === undefined) throw error;
      return found;
    }
  };
}

/** What is said instead of a pattern that a text does not match. */
const RULES = new Map([...ID_PATTERNS].map((pattern) => [pattern, `must be an id: ${ID_RULE}`]));

/** Names the rule of a pattern for errors. @returns the pattern */
export function ruledBy(pattern: string, rule: string): string {
  RULES.set(pattern, rule);
  return pattern;
}

/** Errors that are reported at once. */
const MAX_ERRORS = 20;
/** Maximum length of a pointer, which may hold names of the caller. A longer one is cut to its parent. */
const MAX_POINTER_LENGTH = 512;

function boundedPointer(pointer: string): string {
  let bounded = pointer;
  while (bounded.length > MAX_POINTER_LENGTH) bounded = bounded.slice(0, bounded.lastIndexOf('/'));
  return bounded;
}

/** Ajv's errors as JSON pointers with a reason. The pointer of a missing or unknown field names the field, not its parent. */
export function fieldErrors(errors: readonly ErrorObject[], prefix = ''): FieldError[] {
  const found = errors
    .filter(({ keyword }) => keyword !== 'anyOf' && keyword !== 'propertyNames')
    .map(({ instancePath, keyword, params, message, propertyName }): FieldError => {
      const base = boundedPointer(prefix + instancePath);
      if (keyword === 'required') return { pointer: base + pointerTo(String(params.missingProperty)), detail: 'is required' };
      if (keyword === 'additionalProperties')
        return { pointer: boundedPointer(base + pointerTo(String(params.additionalProperty))), detail: 'is not a known field' };
      if (keyword === 'const') return { pointer: base, detail: `must be ${JSON.stringify(params.allowedValue)}` };
      const rule = keyword === 'pattern' ? RULES.get(String(params.pattern)) : undefined;
      const detail = rule ?? message ?? keyword;
      return { pointer: base, detail: propertyName === undefined ? detail : `has a name that ${detail}` };
    });
  return mergeAlternatives(found).slice(0, MAX_ERRORS);
}

/** Joins the errors of the branches of a union, which have the same pointer. */
function mergeAlternatives(errors: FieldError[]): FieldError[] {
  const byPointer = new Map<string, string[]>();
  for (const { pointer, detail } of errors) {
    const details = byPointer.get(pointer) ?? [];
    if (!details.includes(detail)) details.push(detail);
    byPointer.set(pointer, details);
  }
  return [...byPointer].map(([pointer, details]) => ({ pointer, detail: details.join(' or ') }));
}
