import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';

/** The files of docs/schema. */
export const SCHEMAS = [
  'document',
  'stream',
  'plan',
  'bundle',
  'manifest',
  'fix-list',
  'compare-list',
] as const;
export type SchemaName = (typeof SCHEMAS)[number];

/** What is in one of them. */
export function schemaText(name: SchemaName): string {
  return readFileSync(new URL(`../../docs/schema/${name}.json`, import.meta.url), 'utf8');
}

let ajv: Ajv | undefined;

function validators(): Ajv {
  if (ajv) return ajv;
  ajv = new Ajv({ strict: true, allowUnionTypes: true, validateSchema: false, code: { optimize: false } });
  for (const name of SCHEMAS) {
    // Each command's definition is used alone: to compile all takes twenty times as long.
    const { anyOf, ...schema } = JSON.parse(schemaText(name));
    ajv.addSchema(name === 'document' ? schema : { anyOf, ...schema }, name);
  }
  return ajv;
}

function validatorOf(key: string): ValidateFunction {
  const validate = validators().getSchema(key);
  assert.ok(validate, `no schema ${key}`);
  return validate;
}

/** What a schema, or one of its definitions, has against a value; undefined if nothing. */
export function faultOf(value: unknown, name: SchemaName, definition?: string): string | undefined {
  const validate = validatorOf(definition === undefined ? name : `${name}#/definitions/${definition}`);
  return validate(value) ? undefined : validators().errorsText(validate.errors);
}

/** Fails unless a line that --json or --json-stream printed is as its schema says. */
export function assertPrinted(line: string): void {
  const value = JSON.parse(line) as { readonly command?: string; readonly error?: unknown };
  const fault =
    'command' in value
      ? faultOf(value, 'document', 'error' in value ? 'failure' : value.command)
      : faultOf(value, 'stream');
  assert.ok(fault === undefined, `printed is not what docs/schema says: ${fault}: ${line.slice(0, 2000)}`);
}
