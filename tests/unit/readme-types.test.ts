import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('The examples of the README compile under the strictest options', () => {
  const folder = mkdtempSync(join(tmpdir(), 'redis-trib-types-'));
  try {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const examples = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code);
    assert.ok(examples.length > 3);
    const files = examples.map((code, index) => {
      const given = code.includes('{ password }') ? 'declare const password: string | undefined;\n' : '';
      // The one of iterate() goes on from the first.
      const imports = code.includes('import ') ? '' : "import { iterate, joinCluster } from 'redis-trib';\n";
      writeFileSync(join(folder, `${index}.ts`), `${given}${imports}${code}\nexport {};\n`);
      return `${index}.ts`;
    });
    // The sidecar, too.
    copyFileSync(join(root, 'examples/sidecar.ts'), join(folder, 'sidecar.ts'));
    files.push('sidecar.ts');
    const compilerOptions = {
      paths: {
        'redis-trib': [join(root, 'lib/index.ts')],
        'redis-trib/resp': [join(root, 'resp/index.ts')],
      },
      typeRoots: [join(root, 'node_modules/@types')],
      noUnusedLocals: false,
    };
    const extended = join(root, 'tsconfig.json');
    const config = { extends: extended, compilerOptions, files, include: [] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
