import { compileSchema } from '../schema.js';

export interface Validated {
  value?: unknown;
  error?: Error;
}

/** Compiles the validator of one part of a request. Bodies are validated as they are; URL and header text is converted to the types of the schema. */
export function validatorCompiler({ schema, httpPart }: { schema: unknown; httpPart?: string }): (data: unknown) => Validated {
  const validate = compileSchema(schema as object, httpPart === 'body' ? 'body' : 'text');
  return (data) => {
    const errors = validate(data);
    return errors === null ? { value: data } : { error: Object.assign(new Error('invalid'), { validation: errors }) };
  };
}
