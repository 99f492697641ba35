// Packs the package as it would be published, installs it in another folder and uses it there: `npm run test:package`.
import assert from 'node:assert/strict';
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { openBed } from './bed/index.ts';

const PUBLINT = 'publint@0.3.25';
const ATTW = '@arethetypeswrong/cli@0.18.5';
const MOST_PACKED = 172 * 1024;
const MOST_UNPACKED = 515_000;

/** Milliseconds over bare node that may pass until the version is there, or the library imported, on a machine with nothing else to do. */
const BUDGETS = { '--version': 20, import: 35 };
/** Starts of each, by turns with bare node. */
const STARTS = 15;
/** A shared machine with slow cores takes so many times as long. What budgets are to find is a module that is loaded without need, and that is more. */
const SHARED_MACHINE = 3;

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

function run(program: string, args: readonly string[], options: ExecFileSyncOptions = {}): string {
  return String(
    execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options }),
  );
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Milliseconds that a program takes beyond bare node, as the median of interleaved runs. */
function beyondBareNode(args: readonly string[], cwd: string): number {
  const time = (words: readonly string[]): number => {
    const started = performance.now();
    run(process.execPath, words, { cwd });
    return performance.now() - started;
  };
  const pairs = Array.from({ length: STARTS }, () => [time(['-e', '0']), time(args)] as const);
  return median(pairs.map(([, own]) => own)) - median(pairs.map(([bare]) => bare));
}

const work = mkdtempSync(join(tmpdir(), 'redis-trib-package-'));
try {
  run('npm', ['run', '--silent', 'build']);
  const [packed] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', work]),
  ) as Packed[];
  assert.ok(packed);
  const paths = packed.files.map(({ path }) => path);
  const stray = paths.filter(
    (path) =>
      !/^(dist\/(cli|lib|resp|chunks)[^.]*\.(js|d\.ts)|README\.md|LICENSE|CHANGELOG\.md|package\.json)$/.test(
        path,
      ),
  );
  assert.deepEqual(stray, [], 'files that do not belong into the package');
  for (const wanted of [
    'dist/cli.js',
    'dist/lib/index.js',
    'dist/lib/index.d.ts',
    'dist/resp/index.js',
    'README.md',
    'LICENSE',
  ]) {
    assert.ok(paths.includes(wanted), `the package lacks ${wanted}`);
  }
  console.log(`packed ${packed.size} B, unpacked ${packed.unpackedSize} B, ${paths.length} files`);
  assert.ok(
    packed.size <= MOST_PACKED && packed.unpackedSize <= MOST_UNPACKED,
    'the package has grown over its budget',
  );

  const tarball = join(work, packed.filename);
  run('npx', ['--yes', PUBLINT, tarball, '--strict'], { stdio: 'inherit' });
  run('npx', ['--yes', ATTW, tarball, '--profile', 'esm-only'], { stdio: 'inherit' });

  writeFileSync(join(work, 'package.json'), '{ "name": "elsewhere", "private": true, "type": "module" }\n');
  run('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: work });
  assert.deepEqual(
    readdirSync(join(work, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['redis-trib'],
  );
  const manifest = JSON.parse(readFileSync(join(work, 'node_modules/redis-trib/package.json'), 'utf8'));
  assert.equal(manifest.dependencies, undefined);
  const hooks = Object.keys(manifest.scripts ?? {}).filter((name) =>
    /^(pre|post)?install$|^prepare$/.test(name),
  );
  assert.deepEqual(hooks, [], 'nothing runs when the package is installed');

  const uses = "if (typeof joinCluster !== 'function' || typeof connect !== 'function') process.exit(1)";
  const imports = "import { joinCluster } from 'redis-trib'; import { connect } from 'redis-trib/resp';";
  run(process.execPath, ['--input-type=module', '-e', `${imports} ${uses}`], { cwd: work });
  // The package is minified: what callers go by keeps its name.
  const named =
    "connect({ port: 1 }).catch(({ name, code }) => { if (name !== 'ConnectionError' || code !== 'ECONNREFUSED') process.exit(1) })";
  run(process.execPath, ['--input-type=module', '-e', `${imports} ${named}`], { cwd: work });
  const requires =
    "const { joinCluster } = require('redis-trib'); const { connect } = require('redis-trib/resp');";
  run(process.execPath, ['--no-warnings', '--input-type=commonjs', '-e', `${requires} ${uses}`], {
    cwd: work,
  });

  await using bed = await openBed();
  const [node] = await bed.start(1);
  assert.ok(node);
  const trib = (...args: string[]): string => run('npx', ['redis-trib', ...args], { cwd: work });
  assert.equal(trib('--version').trim(), manifest.version);
  assert.match(trib('start', node.address), /^Started a cluster of 1 master/);
  assert.match(
    trib('list', node.address),
    /^Total 1 nodes, 1 masters, 0 fail\nM {2}\S+ myself,master 16384\n$/,
  );
  assert.equal(JSON.parse(trib('check', node.address, '--json')).ok, true);
  console.log('installed elsewhere: import, require and npx work');

  const script = join(work, 'node_modules/redis-trib/dist/cli.js');
  const asModule = ['--input-type=module', '-e'];
  const over = {
    '--version': beyondBareNode([script, '--version'], work),
    import:
      beyondBareNode([...asModule, "import 'redis-trib'"], work) - beyondBareNode([...asModule, '0'], work),
    list: beyondBareNode([script, 'list', node.address], work),
  };
  const times = Object.entries(over).map(([what, ms]) => `${what} ${ms.toFixed(0)} ms`);
  console.log(`over bare node, median of ${STARTS}: ${times.join(', ')}`);
  for (const [what, budget] of Object.entries(BUDGETS)) {
    const ms = over[what as keyof typeof BUDGETS];
    assert.ok(
      ms <= budget * SHARED_MACHINE,
      `${what} takes ${ms.toFixed(0)} ms over bare node, and ${budget} are its budget`,
    );
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
