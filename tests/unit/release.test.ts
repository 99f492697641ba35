import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { documentsOf } from '../helpers/examples.ts';

interface Step {
  readonly uses?: string;
  readonly run?: string;
}

interface Job {
  readonly needs?: readonly string[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

describe('The workflow of a release', () => {
  const [workflow] = documentsOf('../.github/workflows/release.yml') as unknown as [Workflow];
  const jobs = Object.entries(workflow.jobs);

  test('runs scripts that there are, and waits for jobs that there are', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const commands = jobs.flatMap(([, { steps }]) => steps.flatMap(({ run }) => run ?? []));
    const named = [...commands.join('\n').matchAll(/npm run ([\w:]+)/g)].map(([, name = '']) => name);
    assert.ok(named.length > 0);
    for (const name of named) assert.ok(Object.hasOwn(scripts, name), name);
    for (const [, { needs = [] }] of jobs)
      for (const name of needs) assert.ok(Object.hasOwn(workflow.jobs, name), name);
  });

  test('lets only the job that publishes write, and that runs nothing but actions, npm and gh', () => {
    assert.deepEqual(workflow.permissions, { contents: 'read' });
    for (const [name, { permissions, steps }] of jobs) {
      if (permissions === undefined) continue;
      assert.equal(name, 'publish');
      assert.equal(permissions['id-token'], 'write');
      for (const { uses, run = '' } of steps) {
        assert.match(uses ?? 'actions/', /^actions\/(?!checkout)/);
        assert.doesNotMatch(run, /npm (?!publish\b)/);
      }
    }
    assert.deepEqual(workflow.jobs.publish?.needs, Object.keys(workflow.jobs).slice(0, -1));
  });

  test('publishes the files that docs/releasing.md lists', () => {
    const rows = [...read('docs/releasing.md').matchAll(/^\| `([^`]+)`/gm)].map(([, file = '']) => file);
    const text = JSON.stringify(workflow);
    assert.ok(rows.length > 4);
    for (const file of rows) assert.ok(text.includes(file.replace('VERSION', '*')), file);
  });
});
