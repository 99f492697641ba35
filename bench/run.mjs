/**
 * Compares resp/ with redis-parser, node-redis and ioredis:
 *
 *     npm run bench -- [decode] [encode] [commands] [memory] [start] [--rounds 15] [--ms 60] [--row TEXT] [--node PATH]
 *
 * One process per candidate, rounds alternating between them, medians with their spread. The figures depend on the
 * machine; the ratios within a row are what counts.
 */
import { execFileSync, fork } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { openBed } from '../tests/bed/index.ts';
import { table } from './report.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '15' },
    ms: { type: 'string', default: '60' },
    row: { type: 'string', default: '' },
    node: { type: 'string', default: process.execPath },
  },
});
const suites = positionals.length > 0 ? positionals : ['decode', 'encode', 'commands', 'memory', 'start'];
const rounds = Number(options.rounds);

if (!existsSync(join(here, 'node_modules'))) {
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: here,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Measures what is published: JavaScript in one file, built like the package. */
function build() {
  const out = mkdtempSync(join(here, 'node_modules', '.resp-'));
  const input = join(here, '../resp/index.ts');
  const settings = ['--bundle', '--format=esm', '--platform=node', '--target=node20', '--log-level=warning'];
  const esbuild = join(here, '../node_modules/.bin/esbuild');
  execFileSync(esbuild, [input, ...settings, `--outfile=${join(out, 'index.mjs')}`], { stdio: 'inherit' });
  return out;
}

/** Asks the candidates in turn, round by round, so that a busy moment of the machine affects all of them. */
async function compare(suite, context) {
  const file = new URL(`${suite}.mjs`, import.meta.url).href;
  const definition = await import(file);
  const rows = definition.rows.filter((row) => row.includes(options.row));
  const workers = definition.candidates.map((name) =>
    fork(join(here, 'worker.mjs'), [file, name, JSON.stringify(context)], {
      execPath: options.node,
      execArgv: [],
    }),
  );
  let answered;
  for (const [index, worker] of workers.entries()) {
    worker.on('message', (value) => answered.resolve(value));
    worker.on('exit', () => answered.reject(new Error(`${definition.candidates[index]} exited`)));
  }
  const ask = (worker, message) =>
    new Promise((resolve, reject) => {
      answered = { resolve, reject };
      worker.send(message);
    });
  const results = new Map();
  for (const row of rows) {
    const seen = new Map(definition.candidates.map((name) => [name, []]));
    results.set(row, seen);
    // One round to warm up.
    for (const worker of workers) await ask(worker, { row, ms: 300 });
    for (let round = 0; round < rounds; round++) {
      for (const [index, worker] of workers.entries()) {
        seen.get(definition.candidates[index]).push(await ask(worker, { ms: Number(options.ms) }));
      }
    }
    process.stderr.write(`${suite}: ${row}\n`);
  }
  for (const worker of workers) worker.kill();
  return { definition: { ...definition, rows }, results };
}

/** The same for suites in which each sample is a process of its own. */
async function sample(suite, context) {
  const definition = await import(new URL(`${suite}.mjs`, import.meta.url).href);
  const rows = definition.rows.filter((row) => row.includes(options.row));
  const results = new Map();
  for (const row of rows) {
    const seen = new Map(definition.candidates.map((name) => [name, []]));
    results.set(row, seen);
    for (let round = 0; round < rounds; round++) {
      for (const name of definition.candidates) {
        const value = await definition.measure(name, row, { ...context, node: options.node });
        if (value !== undefined) seen.get(name).push(value);
      }
    }
    process.stderr.write(`${suite}: ${row}\n`);
  }
  return { definition: { ...definition, rows }, results };
}

const out = build();
const needServer = suites.some((suite) => !['decode', 'encode'].includes(suite));
const bed = needServer ? await openBed() : undefined;
try {
  const [node] = bed === undefined ? [] : await bed.start(1, { cluster: false });
  const context = {
    resp: pathToFileURL(join(out, 'index.mjs')).href,
    host: node?.host,
    port: node?.port,
    cwd: here,
  };
  const version = execFileSync(options.node, ['--version'], { encoding: 'utf8' }).trim();
  const server = bed === undefined ? '' : `, ${bed.server.kind} ${bed.server.version}`;
  console.log(`Node ${version}${server}; ${rounds} rounds, medians ± half the interquartile range\n`);
  for (const suite of suites) {
    const each = ['memory', 'start'].includes(suite) ? sample : compare;
    const { definition, results } = await each(suite, context);
    console.log(table(suite, definition, results));
  }
} finally {
  await bed?.close();
  rmSync(out, { recursive: true });
}
