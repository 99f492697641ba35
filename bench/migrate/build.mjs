import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Builds what is published, as the package is built, in a folder of its own. */
export function build() {
  const dir = mkdtempSync(join(tmpdir(), 'redis-trib-bench-'));
  const inputs = ['cli.ts', 'lib/index.ts', 'resp/index.ts'].map((file) => join(root, file));
  execFileSync(
    join(root, 'node_modules/.bin/esbuild'),
    [
      ...inputs,
      ...['--bundle', '--splitting', '--format=esm', '--platform=node', '--target=node20'],
      ...['--minify', `--outdir=${dir}`, `--outbase=${root}`],
      ...['--out-extension:.js=.mjs', '--log-level=warning'],
    ],
    { stdio: 'inherit' },
  );
  return {
    dir,
    cli: join(dir, 'cli.mjs'),
    library: pathToFileURL(join(dir, 'lib/index.mjs')).href,
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
