import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Ajv } from 'ajv';
import { commands } from '../../lib/cli/commands.ts';
import { parseManifest } from '../../lib/copy/backup/manifest.ts';
import { parsePlan } from '../../lib/index.ts';
import { makeSchemas } from '../helpers/make-schemas.ts';
import { assertPrinted, faultOf, SCHEMAS, schemaText } from '../helpers/schemas.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('docs/schema', () => {
  const made = makeSchemas();

  test('is what the types say: `npm run docs:schemas` makes it', () => {
    assert.deepEqual(
      [...made.keys()],
      SCHEMAS.map((name) => `${name}.json`),
    );
    for (const name of SCHEMAS)
      assert.ok(made.get(`${name}.json`) === schemaText(name), `${name}.json is old`);
  });

  test('holds JSON Schema of draft 7', () => {
    const ajv = new Ajv({ strict: true, allowUnionTypes: true, code: { optimize: false } });
    for (const name of SCHEMAS) ajv.compile(JSON.parse(schemaText(name)));
  });

  test('has a document of each command', () => {
    const { definitions, anyOf } = JSON.parse(schemaText('document'));
    const names = [...commands.map(({ name }) => name), 'failure'].sort();
    assert.deepEqual(
      anyOf.map(({ $ref }: { $ref: string }) => $ref.replace('#/definitions/', '')).sort(),
      names,
    );
    for (const name of names) assert.ok(name in definitions, name);
  });

  test('takes and refuses a manifest as restore does', () => {
    const file = {
      ...{ id: 'a'.repeat(40), address: '10.0.0.1:7000', slots: '0-16383', server: 'Redis 8.6.3' },
      ...{ file: 'redis-node.rdb', bytes: 88, sha256: '0'.repeat(64) },
    };
    const manifest = { version: 1, date: '2026-11-29T10:00:00.000Z', problems: [], masters: [file] };
    const takes = (value: unknown): boolean => {
      try {
        parseManifest(JSON.stringify(value));
        return true;
      } catch {
        return false;
      }
    };
    const others = [
      { ...manifest, version: 2 },
      { ...manifest, problems: 'none' },
      ...[{ bytes: -1 }, { sha256: 'f00' }, { file: '../other.rdb' }, { slots: 7 }, { address: null }].map(
        (wrong) => ({ ...manifest, masters: [{ ...file, ...wrong }] }),
      ),
    ];
    for (const one of [manifest, ...others])
      assert.equal(faultOf(one, 'manifest') === undefined, takes(one), JSON.stringify(one));
    assert.ok(takes(manifest) && !others.some(takes));
  });

  test('describes the lines that docs/*.md show', () => {
    const lines = ['docs/json.md', 'docs/events.md', 'docs/plan.md'].flatMap((path) =>
      [...read(path).matchAll(/^ {4}(\{"version":.*\})$/gm)].map(([, line = '']) => line),
    );
    assert.ok(lines.length >= 5, `${lines.length}`);
    for (const line of lines) {
      const isPlan = 'operation' in JSON.parse(line);
      if (isPlan)
        assert.deepEqual([faultOf(JSON.parse(line), 'plan'), JSON.parse(line)], [undefined, parsePlan(line)]);
      else assertPrinted(line);
    }
  });
});
