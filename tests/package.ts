// Packs the package as it would be published, installs it in another folder and uses it there: `npm run test:package`.
import assert from 'node:assert/strict';
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import * as source from '../lib/index.ts';
import { openBed } from './bed/index.ts';

const PUBLINT = 'publint@0.3.25';
const ATTW = '@arethetypeswrong/cli@0.18.5';
const MOST_PACKED = 172 * 1024;
const MOST_UNPACKED = 515_000;

/**
 * What a start may take over bare node: milliseconds of processor time, which others on the machine change less than what the
 * clock says, and what they go by: files of the package, and the kB of text in them.
 */
const BUDGETS = {
  '--version': { ms: 8, files: 2, kB: 4 },
  import: { ms: 10, files: 5, kB: 64 },
  list: { ms: 40, files: 8, kB: 120 },
  check: { ms: 55, files: 8, kB: 120 },
  'reshard --dry-run': { ms: 55, files: 10, kB: 270 },
};
/** Starts of each, by turns with bare node. */
const STARTS = 15;
/** Node has had processes that write their coverage hang at their end. */
const LONGEST_RUN_MS = 60_000;
/** Slow cores, and others who use their caches, take so many times as long. */
const SHARED_MACHINE = 2;

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

interface Start {
  /** Milliseconds, processor time and by the clock, as medians of interleaved runs. */
  readonly ms: number;
  readonly elapsedMs: number;
  /** Of the package, that were loaded. */
  readonly files: number;
  readonly kB: number;
}

/** What a program takes beyond bare node. */
function beyondBareNode(bare: readonly string[], args: readonly string[], cwd: string): Start {
  const hook = join(cwd, 'processor-time.cjs');
  const told = join(cwd, 'processor-time');
  writeFileSync(
    hook,
    `process.on('exit', () => {
      const { user, system } = process.cpuUsage();
      require('node:fs').writeFileSync(${JSON.stringify(told)}, String((user + system) / 1000));
    });`,
  );
  const time = (words: readonly string[]): readonly [ms: number, elapsedMs: number] => {
    const started = performance.now();
    run(process.execPath, ['--require', hook, ...words], { cwd });
    const elapsedMs = performance.now() - started;
    return [Number(readFileSync(told, 'utf8')), elapsedMs];
  };
  const pairs = Array.from({ length: STARTS }, () => [time(bare), time(args)] as const);
  const over = (which: 0 | 1): number =>
    median(pairs.map(([, own]) => own[which])) - median(pairs.map(([without]) => without[which]));
  return { ms: over(0), elapsedMs: over(1), ...loadedBy(args, cwd) };
}

/** The files of the package that a program loads: those whose coverage Node tells. */
function loadedBy(args: readonly string[], cwd: string): Pick<Start, 'files' | 'kB'> {
  const folder = mkdtempSync(join(cwd, 'coverage-'));
  const env = { ...process.env, NODE_V8_COVERAGE: folder };
  run(process.execPath, args, { cwd, env, timeout: LONGEST_RUN_MS });
  const files = readdirSync(folder)
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')).result as { url: string }[])
    .filter(({ url }) => url.includes('/redis-trib/dist/'))
    .map(({ url }) => statSync(fileURLToPath(url)).size);
  return { files: files.length, kB: files.reduce((sum, size) => sum + size, 0) / 1000 };
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
  // Operations are functions that load the rest: each has to find itself there.
  const names = JSON.stringify(Object.keys(source).sort());
  const called = `import * as lib from 'redis-trib';
    if (JSON.stringify(Object.keys(lib).sort()) !== ${JSON.stringify(names)}) throw new Error('other names than in the sources');
    for (const [name, one] of Object.entries(lib)) {
      if (one.constructor.name !== 'AsyncFunction') continue;
      const { message } = await one().then(String, (error) => error);
      if (message?.includes(name + ' is not a function')) throw new Error(message);
    }`;
  run(process.execPath, ['--input-type=module', '-e', called], { cwd: work });
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
  const reshards = ['reshard', node.address, '--from', 'all', '--to', node.address, '--slots', '0-5'];
  const starts: Readonly<Record<keyof typeof BUDGETS, readonly string[]>> = {
    '--version': [script, '--version'],
    import: [...asModule, "import 'redis-trib'"],
    list: [script, 'list', node.address],
    check: [script, 'check', node.address],
    'reshard --dry-run': [script, ...reshards, '--dry-run'],
  };
  console.log(`over bare node, median of ${STARTS}:`);
  const over: string[] = [];
  for (const [what, args] of Object.entries(starts)) {
    const start = beyondBareNode(args[0] === script ? ['-e', '0'] : [...asModule, '0'], args, work);
    const { ms, elapsedMs, files, kB } = start;
    console.log(
      `  ${what}: ${ms.toFixed(0)} ms of processor time, ${elapsedMs.toFixed(0)} ms by the clock, ${files} files, ${kB.toFixed(0)} kB`,
    );
    const budget = BUDGETS[what as keyof typeof BUDGETS];
    if (ms > budget.ms * SHARED_MACHINE || files > budget.files || kB > budget.kB)
      over.push(`${what}: ${budget.ms} ms, ${budget.files} files, ${budget.kB} kB`);
  }
  assert.deepEqual(over, [], 'starts take more than their budgets, which these are');
} finally {
  rmSync(work, { recursive: true, force: true });
}
