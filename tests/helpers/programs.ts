import { existsSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Where `tests/build-tests.mjs` puts the programs that tests start, and `tests/run.ts` says so. */
const folder = process.env.REDIS_TRIB_TEST_PROGRAMS;

/** The path of a program that was built with the tests. Undefined if a file of tests is run on its own. */
export function builtProgram(name: string): string | undefined {
  const path = folder && resolve(folder, `${name}.js`);
  return path && existsSync(path) ? path : undefined;
}

/** Builds a program into a folder as it is published: bundled, it starts in a tenth of the time. Resolves to its path. */
export async function buildProgram(source: string, outdir: string): Promise<string> {
  writeFileSync(join(outdir, 'package.json'), '{ "type": "module" }\n');
  await build({
    entryPoints: [fileURLToPath(new URL(`../../${source}.ts`, import.meta.url))],
    outdir,
    bundle: true,
    splitting: source === 'cli',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
  });
  return join(outdir, `${basename(source)}.js`);
}
