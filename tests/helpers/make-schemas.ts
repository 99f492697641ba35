import { fileURLToPath } from 'node:url';
import {
  createGenerator,
  type Definition,
  type Schema,
  type SchemaGenerator,
} from 'ts-json-schema-generator';
import { SLOT_COUNT } from '../../lib/model/slot.ts';

/** Where the schemas are. */
export const SCHEMA_FOLDER: URL = new URL('../../docs/schema/', import.meta.url);

type Definitions = Record<string, Definition>;

/** The JSON Schema files of docs/schema by their names, made from the types. */
export function makeSchemas(): Map<string, string> {
  const generator = createGenerator({
    path: fileURLToPath(new URL('../../lib/cli/documents.ts', import.meta.url)),
    tsconfig: fileURLToPath(new URL('../../tsconfig.json', import.meta.url)),
    // That is what `npm run typecheck` does.
    skipTypeCheck: true,
    expose: 'export',
    jsDoc: 'extended',
    sortProps: false,
  });
  const schemas: Readonly<Record<string, Schema>> = {
    document: documents(generator),
    stream: generator.createSchema('StreamLine'),
    plan: generator.createSchema('Plan'),
    bundle: generator.createSchema('Bundle'),
    manifest: generator.createSchema('BackupManifest'),
    'fix-list': generator.createSchema('StrayKeyLine'),
    'compare-list': generator.createSchema('DifferenceLine'),
  };
  return new Map(
    Object.entries(schemas).map(([name, schema]) => [
      `${name}.json`,
      `${JSON.stringify(refined(schema), null, 1)}\n`,
    ]),
  );
}

/** The documents of all commands, each as a definition of the command's name, and `failure`. */
function documents(generator: SchemaGenerator): Schema {
  const { FinishedDocuments, ...finished } = definitionsOf(generator, 'FinishedDocuments');
  const { FailureDocument, ...failed } = definitionsOf(generator, 'FailureDocument');
  const commands = Object.keys(FinishedDocuments?.properties ?? {});
  const nameOf = (command: string): string => `Finished<"${command}">`;
  // Most have the same fields: they are written once.
  const alike = new Map<string, string[]>();
  for (const command of commands) {
    const text = JSON.stringify(finished[nameOf(command)]).replace(`"const":"${command}"`, '"enum":[]');
    alike.set(text, [...(alike.get(text) ?? []), command]);
  }
  const own: Definitions = {};
  for (const [text, [first = '', ...more]] of alike) {
    if (more.length === 0) {
      own[first] = finished[nameOf(first)] ?? {};
      continue;
    }
    const [shared, all] = [`like_${first}`, [first, ...more]];
    own[shared] = JSON.parse(text.replace('"enum":[]', `"enum":${JSON.stringify(all)}`));
    for (const command of all) {
      const head = { type: 'object', properties: { command: { const: command } } } as const;
      own[command] = { ...head, allOf: [{ $ref: `#/definitions/${shared}` }] };
    }
  }
  const others = Object.entries({ ...finished, ...failed }).filter(([name]) => !name.startsWith('Finished<'));
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    description: 'What --json prints, and the last line of --json-stream.',
    anyOf: [...commands, 'failure'].map((name) => ({ $ref: `#/definitions/${name}` })),
    definitions: { ...own, failure: FailureDocument ?? {}, ...Object.fromEntries(others) },
  };
}

function definitionsOf(generator: SchemaGenerator, type: string): Definitions {
  return { ...(generator.createSchema(type).definitions as Definitions) };
}

/** What the types do not say, and readers of a plan or a manifest demand: slots, the ids of nodes in a plan, and the files of a backup. */
function refined(schema: Schema): Schema {
  return JSON.parse(JSON.stringify(schema), (name, value) => {
    if (name === 'SlotRange') return { ...value, items: [SLOT, SLOT] };
    if (name === 'BackupFile') return withPatterns(value);
    return PLANNED.has(name) ? withIds(value) : value;
  });
}

const SLOT: Definition = { type: 'integer', minimum: 0, maximum: SLOT_COUNT - 1 };

/** The file of a backup, as `parseManifest()` takes it. */
function withPatterns(definition: Definition): Definition {
  const { file, bytes, sha256, ...others } = definition.properties as Record<string, object>;
  return {
    ...definition,
    properties: {
      ...others,
      file: { ...file, pattern: '^[\\w.-]+\\.rdb$' },
      bytes: { ...bytes, type: 'integer', minimum: 0 },
      sha256: { ...sha256, pattern: '^[0-9a-f]{64}$' },
    },
  };
}

/** The types of which plans consist that have ids. */
const PLANNED: ReadonlySet<string> = new Set([
  ...[
    'NodeRef',
    'PlannedNode',
    'RunningNode',
    'Member',
    'Expectation',
    'PlannedLoads',
    'NodeReason',
    'NodeZone',
  ],
]);

function withIds(definition: Definition): Definition {
  return JSON.parse(JSON.stringify(definition), (name, value) =>
    ['id', 'masterId', 'runId'].includes(name) ? { ...value, pattern: '^[0-9a-f]{40}$' } : value,
  );
}
