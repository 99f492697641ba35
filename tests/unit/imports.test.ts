import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Import {
  /** Path of the file, from the root. */
  readonly by: string;
  /** Path of the imported file, from the root, or the name of a module. */
  readonly of: string;
  readonly isTypeOnly: boolean;
}

/** Every import and export-from of a source text, static or dynamic. */
function importsIn(by: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = code.matchAll(
    /(?:^|[;\s])(?:(?:import|export)\s+(type\s+)?(?:[\w*{][^;'"]*?\s+from\s*)?|(?:import|require)\s*\(\s*)['"]([^'"]+)['"]/g,
  );
  return [...found].map(([, type, name = '']) => ({
    by,
    of: name.startsWith('.') ? relative(root, resolve(root, dirname(by), name)) : name,
    isTypeOnly: type !== undefined,
  }));
}

function sourcesIn(folder: string): string[] {
  return readdirSync(resolve(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, resolve(entry.parentPath ?? entry.path, entry.name)));
}

const cli = readdirSync(root).filter((name) => name === 'cli.ts');
const files = [...cli, ...sourcesIn('lib'), ...sourcesIn('resp')];
const imports = files.flatMap((file) => importsIn(file, readFileSync(resolve(root, file), 'utf8')));

const isUnder = (folder: string) => (path: string) => path.startsWith(`${folder}/`);
const inLib = isUnder('lib');
const inCli = (path: string) => path === 'cli.ts' || isUnder('lib/cli')(path);
const inResp = isUnder('resp');

/** The rooms of lib/, from the bottom: each imports only from those before it. */
const ROOMS = [
  'model',
  'rdb',
  'findings',
  'plan',
  'nodes',
  'measure',
  'copy',
  'move',
  'apply',
  'operations',
  'cli',
];
/** Rooms without a socket, a file or a process. */
const PURE = ['model', 'rdb', 'findings', 'plan'];
const heightOf = (path: string) => ROOMS.findIndex((room) => isUnder(`lib/${room}`)(path));

/** Fails with a list of the arrows that the rule forbids. */
function assertNone(forbidden: (arrow: Import) => boolean): void {
  assert.deepEqual(
    imports.filter(forbidden).map(({ by, of }) => `${by} → ${of}`),
    [],
  );
}

describe('Imports', () => {
  test('are found in every syntax', () => {
    const text = [
      "import a from 'a';",
      "import { b, type B } from './b.ts';",
      "import type { C } from '../c.ts';",
      "import * as d from 'node:d';",
      "import 'e';",
      "export { f } from './f.ts';",
      "export * from './g.ts';",
      "export type { H } from './h.ts';",
      "const i = await import('node:i');",
      'import {\n  j,\n  k,\n} from "./j.ts";',
      "// import x from 'x';",
      "/* import y from 'y'; */",
      'const text = `import is a word`;',
    ].join('\n');
    assert.deepEqual(
      importsIn('lib/model/file.ts', text).map(({ of, isTypeOnly }) => (isTypeOnly ? `type ${of}` : of)),
      [
        'a',
        'lib/model/b.ts',
        'type lib/c.ts',
        'node:d',
        'e',
        'lib/model/f.ts',
        'lib/model/g.ts',
        'type lib/model/h.ts',
        'node:i',
        'lib/model/j.ts',
      ],
    );
  });

  test('are found at all', () => {
    assert.ok(imports.length > 100);
    assert.ok(imports.some(({ by, of }) => by === 'lib/index.ts' && of === 'lib/model/cluster-error.ts'));
  });

  test('of resp/ are of node: and of itself', () => {
    assertNone(({ by, of }) => inResp(by) && !inResp(of) && !of.startsWith('node:'));
  });

  test('of lib/ are of node:, of itself, and of the public face of resp/', () => {
    assertNone(({ by, of }) => inLib(by) && !inLib(of) && !of.startsWith('node:') && of !== 'resp/index.ts');
  });

  test('of lib/cli/ are only in itself and in cli.ts', () => {
    assertNone(({ by, of }) => !inCli(by) && inCli(of));
  });

  test('of cli.ts are of lib/ and node:', () => {
    assertNone(({ by, of }) => by === 'cli.ts' && !inLib(of) && !of.startsWith('node:'));
  });

  test('go down only, from room to room', () => {
    assertNone(({ by, of }) => heightOf(of) > heightOf(by) && heightOf(by) !== -1);
    assertNone(({ by, of }) => heightOf(by) !== -1 && !inCli(by) && of === 'lib/index.ts');
  });

  test('of every file of lib/ are of a room or of the files beside the rooms', () => {
    const beside = ['errors', 'events', 'index', 'options', 'settings', 'version'].map(
      (name) => `lib/${name}.ts`,
    );
    assert.deepEqual(
      files.filter((file) => inLib(file) && heightOf(file) === -1 && !beside.includes(file)),
      [],
    );
  });

  test('of the pure rooms reach no socket, file or process', () => {
    assertNone(
      ({ by, of, isTypeOnly }) =>
        PURE.some((room) => isUnder(`lib/${room}`)(by)) &&
        !isTypeOnly &&
        (of.startsWith('node:') || inResp(of) || of === 'lib/errors.ts'),
    );
  });

  test('of lib/rdb are of itself: it could be published alone', () => {
    assertNone(({ by, of }) => isUnder('lib/rdb')(by) && !isUnder('lib/rdb')(of));
  });

  test('of node:timers/promises are in lib/nodes/wait-until.ts alone, the only loop that waits', () => {
    assertNone(({ by, of }) => of === 'node:timers/promises' && by !== 'lib/nodes/wait-until.ts');
  });

  // Backups are files.
  test('of node:process are only in cli.ts and lib/cli/', () => {
    assertNone(
      ({ by, of }) =>
        inLib(by) &&
        !inCli(by) &&
        !(isUnder('lib/copy/backup')(by) && of === 'node:fs/promises') &&
        /^(?:node:)?(?:process|fs|child_process|readline|tty|os)(?:\/|$)/.test(of),
    );
    const offenders = sourcesIn('lib').filter(
      (file) => !inCli(file) && /\bprocess\.|\bconsole\./.test(readFileSync(resolve(root, file), 'utf8')),
    );
    assert.deepEqual(offenders, []);
  });

  test('form no cycle', () => {
    const next = new Map<string, string[]>();
    for (const { by, of, isTypeOnly } of imports) {
      if (!isTypeOnly) next.set(by, [...(next.get(by) ?? []), of]);
    }
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), [...path, file].join(' → '));
      if (done.has(file)) return;
      for (const other of next.get(file) ?? []) visit(other, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });
});

describe('Exported names', () => {
  /** The files of lib/ by the functions, classes, types and constants that they declare and export. */
  const declaredIn = new Map<string, string[]>();
  for (const file of files.filter(inLib)) {
    const text = readFileSync(resolve(root, file), 'utf8');
    const names = text.matchAll(
      /^export (?:declare |abstract |async )*(?:function\*?|class|interface|type|const|let) (\w+)/gm,
    );
    for (const [, name = ''] of names) declaredIn.set(name, [...(declaredIn.get(name) ?? []), file]);
  }

  test('are found', () => {
    assert.ok(declaredIn.size > 300);
    assert.deepEqual(declaredIn.get('ClusterError'), ['lib/model/cluster-error.ts']);
  });

  test('stand for one thing each in lib/', () => {
    const shared = [...declaredIn].filter(([, places]) => new Set(places).size > 1);
    assert.deepEqual(shared, []);
  });
});
