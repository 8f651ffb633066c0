import { compileSchema } from '../schema.js';

export interface Validated {
  value?: unknown;
  error?: Error;
}

/** One part of a request by its schema: bodies as they are, what stands in a URL or header converted to the schema's types. */
export function validatorCompiler({ schema, httpPart }: { schema: unknown; httpPart?: string }): (data: unknown) => Validated {
  const validate = compileSchema(schema as object, httpPart === 'body' ? 'body' : 'text');
  return (data) => (validate(data) ? { value: data } : { error: Object.assign(new Error('invalid'), { validation: validate.errors }) });
}
