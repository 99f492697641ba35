// Packs the package as for publishing, installs it in another folder and uses it there: `npm run test:package`.
import assert from 'node:assert/strict';
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { topics } from '../lib/cli/topics.ts';
import * as source from '../lib/index.ts';
import { findDebianArchive, openApt } from './bed/apt.ts';
import { openBed } from './bed/index.ts';
import { findProgram } from './bed/servers.ts';

const PUBLINT = 'publint@0.3.25';
const ATTW = '@arethetypeswrong/cli@0.18.5';
const TYPEDOC = 'typedoc@0.28.20';
/**
 * The most that each kind of file may weigh, in bytes: code, declarations, and the documents that help prints, because npx users
 * have no clone, with README, CHANGELOG, LICENSE and the manual page. They are counted apart, so that none can grow unnoticed in the shadow of another.
 */
const MOST_BYTES = {
  code: { packed: 319_000, unpacked: 908_000 },
  types: { packed: 38_000, unpacked: 139_500 },
  documents: { packed: 81_000, unpacked: 253_000 },
};

/**
 * What a start may take over bare node: milliseconds of processor time, which other work on the machine changes less than elapsed time,
 * and what that depends on: files of the package, and the kB of text in them.
 */
const BUDGETS = {
  '--version': { ms: 8, files: 2, kB: 4 },
  import: { ms: 14, files: 5, kB: 89 },
  list: { ms: 42, files: 7, kB: 157 },
  check: { ms: 55, files: 9, kB: 274 },
  'reshard --dry-run': { ms: 62, files: 12, kB: 521 },
};
/** Starts of each, alternating with bare node. */
const STARTS = 15;
/** Node processes that write coverage have hung at their end. */
const LONGEST_RUN_MS = 60_000;
/** Milliseconds of processor time of bare node where these were measured: a slower machine is slower for everything. */
const BARE_MS = 60;
/** Other processes that use the caches make it this many times as long at worst. */
const SHARED_MACHINE = 2;

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly size: number }[];
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
  /** Milliseconds of processor time and of elapsed time, as medians of interleaved runs. */
  readonly ms: number;
  readonly elapsedMs: number;
  /** Processor time of bare node in these runs. */
  readonly bareMs: number;
  /** The loaded files of the package. */
  readonly files: number;
  readonly kB: number;
}

function buildAndPack(folder: string): Packed {
  run('npm', ['run', '--silent', 'build']);
  const [packed] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]),
  ) as Packed[];
  assert.ok(packed);
  return packed;
}

/** What each kind of file weighs. Documents and declarations are compressed alone, and code is the rest. */
function weigh({ size, unpackedSize, files }: Packed): typeof MOST_BYTES {
  const weightOf = (which: RegExp): { packed: number; unpacked: number } => {
    const chosen = files.filter(({ path }) => which.test(path));
    return {
      packed: gzipSync(chosen.map(({ path }) => readFileSync(path, 'utf8')).join('')).length,
      unpacked: chosen.reduce((sum, file) => sum + file.size, 0),
    };
  };
  const types = weightOf(/\.d\.ts$/);
  const documents = weightOf(/\.(?:md|1)$|^LICENSE$/);
  return {
    code: {
      packed: size - types.packed - documents.packed,
      unpacked: unpackedSize - types.unpacked - documents.unpacked,
    },
    types,
    documents,
  };
}

/** What a program takes beyond bare node. */
function beyondBareNode(bare: readonly string[], args: readonly string[], cwd: string): Start {
  const hook = join(cwd, 'processor-time.cjs');
  const file = join(cwd, 'processor-time');
  writeFileSync(
    hook,
    `process.on('exit', () => {
      const { user, system } = process.cpuUsage();
      require('node:fs').writeFileSync(${JSON.stringify(file)}, String((user + system) / 1000));
    });`,
  );
  const time = (words: readonly string[]): readonly [ms: number, elapsedMs: number] => {
    const started = performance.now();
    run(process.execPath, ['--require', hook, ...words], { cwd });
    const elapsedMs = performance.now() - started;
    return [Number(readFileSync(file, 'utf8')), elapsedMs];
  };
  const pairs = Array.from({ length: STARTS }, () => [time(bare), time(args)] as const);
  const ofBare = (which: 0 | 1): number => median(pairs.map(([without]) => without[which]));
  const over = (which: 0 | 1): number => median(pairs.map(([, own]) => own[which])) - ofBare(which);
  return { ms: over(0), elapsedMs: over(1), bareMs: ofBare(0), ...loadedBy(args, cwd) };
}

/** The files of the package that a program loads, according to Node's coverage. */
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

/** What Prometheus checks metrics with: its own, or the one of the Debian archive, unpacked and not installed. */
async function promtool(folder: string): Promise<string> {
  const own = findProgram('promtool');
  if (own !== undefined) return own;
  const archive = await findDebianArchive(folder);
  const apt = await openApt(folder, archive ?? '', archive === undefined ? [] : ['trixie']);
  await apt.update();
  await apt.unpack(['promtool'], folder);
  return join(folder, 'usr/bin/promtool');
}

const work = mkdtempSync(join(tmpdir(), 'redis-trib-package-'));
try {
  const packed = buildAndPack(work);
  const paths = packed.files.map(({ path }) => path);
  const stray = paths.filter(
    (path) =>
      !/^(dist\/(cli|lib\/index|resp\/index|chunks\/[^.]*)\.js|dist\/(lib|resp)\/index\.d\.ts|dist\/redis-trib\.1|docs\/[a-z-]+\.md|README\.md|LICENSE|CHANGELOG\.md|package\.json)$/.test(
        path,
      ),
  );
  assert.deepEqual(stray, [], 'files that do not belong in the package');
  for (const wanted of [
    'dist/cli.js',
    'dist/lib/index.js',
    'dist/lib/index.d.ts',
    'dist/resp/index.js',
    'dist/redis-trib.1',
    ...Object.keys(topics).map((topic) => `docs/${topic}.md`),
    'README.md',
    'LICENSE',
  ]) {
    assert.ok(paths.includes(wanted), `the package lacks ${wanted}`);
  }
  for (const [what, weight] of Object.entries(weigh(packed))) {
    const most = MOST_BYTES[what as keyof typeof MOST_BYTES];
    console.log(`${what}: packed ${weight.packed} B, unpacked ${weight.unpacked} B`);
    assert.ok(
      weight.packed <= most.packed && weight.unpacked <= most.unpacked,
      `${what}: over the budget of ${most.packed} B packed, ${most.unpacked} B unpacked`,
    );
  }

  const tarball = join(work, packed.filename);
  const again = mkdtempSync(join(work, 'again-'));
  buildAndPack(again);
  assert.ok(
    readFileSync(tarball).equals(readFileSync(join(again, packed.filename))),
    'built and packed again, the package has the same bytes',
  );
  run('npx', ['--yes', PUBLINT, tarball, '--strict'], { stdio: 'inherit' });
  run('npx', ['--yes', ATTW, tarball, '--profile', 'esm-only'], { stdio: 'inherit' });
  // Without links to sources: a clone may have no remote to link to.
  const documented = ['--skipErrorChecking', '--treatWarningsAsErrors', '--disableSources'];
  run('npx', ['--yes', TYPEDOC, ...documented, '--emit', 'none'], { stdio: 'inherit' });

  writeFileSync(join(work, 'package.json'), '{ "name": "elsewhere", "private": true, "type": "module" }\n');
  run('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: work });
  assert.deepEqual(
    readdirSync(join(work, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['redis-trib'],
  );
  // Without skipLibCheck, as a caller may compile: the declarations are rolled up by our own means.
  const declarations = ['lib', 'resp'].map((face) =>
    join(work, `node_modules/redis-trib/dist/${face}/index.d.ts`),
  );
  const typeRoots = resolve('node_modules/@types');
  const strictly =
    '--noEmit --strict --skipLibCheck false --target es2023 --lib esnext --module nodenext --types node --typeRoots'.split(
      ' ',
    );
  run('npx', ['tsc', '--ignoreConfig', ...strictly, typeRoots, ...declarations]);
  const manifest = JSON.parse(readFileSync(join(work, 'node_modules/redis-trib/package.json'), 'utf8'));
  assert.equal(manifest.dependencies, undefined);
  const hooks = Object.keys(manifest.scripts ?? {}).filter((name) =>
    /^(pre|post)?install$|^prepare$/.test(name),
  );
  assert.deepEqual(hooks, [], 'nothing runs when the package is installed');

  const uses = "if (typeof joinCluster !== 'function' || typeof connect !== 'function') process.exit(1)";
  const imports = "import { joinCluster } from 'redis-trib'; import { connect } from 'redis-trib/resp';";
  run(process.execPath, ['--input-type=module', '-e', `${imports} ${uses}`], { cwd: work });
  // The package is minified, but public names must be kept.
  const named =
    "connect({ port: 1 }).catch(({ name, code }) => { if (name !== 'ConnectionError' || code !== 'ECONNREFUSED') process.exit(1) })";
  run(process.execPath, ['--input-type=module', '-e', `${imports} ${named}`], { cwd: work });
  // Operations are functions that load the rest: each must find itself there.
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
  for (const topic of Object.keys(topics)) assert.match(trib('help', topic), /^# /m);
  assert.match(trib('help', 'errors', 'OPEN_SLOT'), /^### OPEN_SLOT\n\nSlots are open/);
  assert.match(trib('start', node.address), /^Started a cluster of 1 master/);
  assert.match(
    trib('list', node.address),
    /^Total 1 nodes, 1 masters, 0 fail\nM {2}\S+ myself,master 16384\n$/,
  );
  assert.equal(JSON.parse(trib('check', node.address, '--json')).ok, true);
  console.log('installed elsewhere: import, require and npx work');
  const prometheus = await promtool(mkdtempSync(join(work, 'prometheus-')));
  // Exits with 3 for what can be read and is not as it should be.
  run(prometheus, ['check', 'metrics'], {
    input: trib('metrics', node.address),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  // npm links manual pages only from a list, and only of what is installed globally.
  const prefix = mkdtempSync(join(work, 'global-'));
  run('npm', ['install', '--global', '--prefix', prefix, '--no-audit', '--no-fund', tarball]);
  assert.match(readFileSync(join(prefix, 'share/man/man1/redis-trib.1'), 'utf8'), /^\.TH REDIS\\-TRIB 1 /m);

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
    const { ms, elapsedMs, bareMs, files, kB } = start;
    console.log(
      `  ${what}: ${ms.toFixed(0)} ms of processor time (bare node ${bareMs.toFixed(0)}), ${elapsedMs.toFixed(0)} ms elapsed, ${files} files, ${kB.toFixed(0)} kB`,
    );
    const budget = BUDGETS[what as keyof typeof BUDGETS];
    const slowness = Math.max(1, bareMs / BARE_MS) * SHARED_MACHINE;
    if (ms > budget.ms * slowness || files > budget.files || kB > budget.kB)
      over.push(`${what}: ${budget.ms} ms, ${budget.files} files, ${budget.kB} kB`);
  }
  assert.deepEqual(over, [], 'starts take more than their budgets, which these are');
} finally {
  rmSync(work, { recursive: true, force: true });
}
