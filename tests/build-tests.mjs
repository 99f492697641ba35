// Bundles the tests into dist-tests, so that the many processes that run them do not compile the same files again and again:
// each would take more than a second of processor time for that. Packages are not bundled.
// The programs that tests start are built too, once and not by each file: `tests/helpers/programs.ts` finds them.

import { readdirSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(root);

// A bundle is in another place: import.meta must refer to the source.
const keepPlaces = {
  name: 'keep-places',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      if (!text.includes('import.meta.')) return undefined;
      const contents = text
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
        .replaceAll('import.meta.filename', JSON.stringify(path));
      return { contents, loader: 'ts' };
    });
  },
};

await rm('dist-tests', { recursive: true, force: true });
const options = {
  bundle: true,
  splitting: true,
  packages: 'external',
  platform: 'node',
  target: 'node20',
  format: 'esm',
  logLevel: 'warning',
};
await build({
  ...options,
  entryPoints: ['unit', 'integration'].flatMap((folder) =>
    readdirSync(join('tests', folder))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => join('tests', folder, name)),
  ),
  outdir: 'dist-tests',
  outbase: 'tests',
  sourcemap: true,
  plugins: [keepPlaces],
});
const programs = { ...options, entryNames: '[name]', outdir: 'dist-tests/programs' };
await build({ ...programs, entryPoints: ['cli.ts'] });
// In one file each: some are started hundreds of times.
const helpers = ['idle-connections', 'many-looks', 'run-operation'];
await build({
  ...programs,
  splitting: false,
  entryPoints: helpers.map((name) => `tests/helpers/${name}.ts`),
});
