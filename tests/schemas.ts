// Writes the JSON Schema files of docs/schema, from the types: `npm run docs:schemas`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { makeSchemas, SCHEMA_FOLDER } from './helpers/make-schemas.ts';

mkdirSync(SCHEMA_FOLDER, { recursive: true });
for (const [name, text] of makeSchemas()) writeFileSync(new URL(name, SCHEMA_FOLDER), text);
