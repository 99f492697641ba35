// Bundles what is published into dist, where tsc has written the types already: `npm run build`.
//
// Most of what a start takes goes by files, not by text: on Node 20 one more costs as much as 8 kB of code. esbuild makes one of
// whatever the same entries share, which were dozens. So entries here take in whole layers, needed or not, and operations are
// loaded by the room.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

/** Operations that are loaded together; all others are in the room `changing`. */
const ROOMS = {
  reading: ['check', 'cluster-info', 'execute', 'find-seed', 'list-nodes', 'set-node-timeout'],
  keys: ['backup-cluster', 'import-keys', 'restore-cluster'],
};

/** Layers, by files that lead to all of them. */
const core = ['lib/operations/run.ts', 'lib/model/cluster-node.ts', 'lib/plan/plan.ts'];
const plans = ['lib/operations/parse-plan.ts', 'lib/plan/balance.ts', 'lib/plan/from-view.ts'];
const looking = ['lib/apply/context.ts', 'lib/apply/stray-keys.ts', 'lib/model/findings.ts'];
const commands = ['version', 'cli/approve', 'cli/commands', 'cli/move-options', 'cli/progress'].map(
  (name) => `lib/${name}.ts`,
);

const LAYERS = {
  'lib/index.ts': [core, plans],
  'lib/cli/main.ts': [core, commands],
  'lib/cli/compat/run.ts': [core, commands],
  'lib/cli/completion.ts': [core, commands],
  'lib/cli/demo-servers.ts': [core, commands],
  'lib/cli/error-view.ts': [core, commands],
  'lib/cli/help.ts': [core, commands],
  'lib/cli/plan-file.ts': [core, commands, plans],
  'lib/cli/standing-view.ts': [core, commands],
  reading: [core, looking],
  keys: [core, looking],
  changing: [core, looking, plans],
};

const read = (file) => readFileSync(file, 'utf8');
const importsOfLayers = (entry) =>
  (LAYERS[entry] ?? []).flat().map((file) => `\nimport ${JSON.stringify(join(root, file))};`);

const publicOperations = /^export \{([^}]*)\} from '\.\/operations\/([^']+)\.ts';$/gm;

/** Leaves of operations only a function each, which loads their room when it is first called: importing loads none. */
function facadeOf(text) {
  return text.replace(publicOperations, (exported, list, operation) => {
    if (LAYERS['lib/index.ts'].flat().includes(`lib/operations/${operation}.ts`)) return exported;
    const types = read(`dist/lib/operations/${operation}.d.ts`);
    return list
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '' && !name.startsWith('type '))
      .map((name) =>
        new RegExp(`^export declare function ${name}\\(.*\\): Promise<`, 'm').test(types)
          ? `export async function ${name}(...given) { return (await import('./operations/${operation}.ts')).${name}(...given); }`
          : `export { ${name} } from './operations/${operation}.ts';`,
      )
      .join('\n');
  });
}

const roomOf = (operation) =>
  Object.keys(ROOMS).find((room) => ROOMS[room].includes(operation)) ?? 'changing';

/** Operations that somebody loads: the facade, or the command line. */
function loadedOperations() {
  const commandLine = readdirSync('lib/cli', { recursive: true }).filter((name) => name.endsWith('.ts'));
  const texts = [facadeOf(read('lib/index.ts')), ...commandLine.map((name) => read(join('lib/cli', name)))];
  const loaded = texts.flatMap((text) => [...text.matchAll(/import\('[./]+operations\/([^']+)\.ts'\)/g)]);
  return [...new Set(loaded.map(([, operation]) => operation))];
}

function roomText(room) {
  return loadedOperations()
    .filter((operation) => roomOf(operation) === room)
    .map((operation) => {
      const file = `lib/operations/${operation}.ts`;
      const names = [...read(file).matchAll(/^export (?:async )?function (\w+)/gm)].map(([, name]) => name);
      return `export { ${names.join(', ')} } from './${file}';`;
    })
    .join('\n');
}

const layers = {
  name: 'layers',
  setup({ onLoad, onResolve }) {
    onLoad({ filter: /\.ts$/, namespace: 'file' }, ({ path }) => {
      const entry = relative(root, path);
      if (!LAYERS[entry]) return undefined;
      const text = entry === 'lib/index.ts' ? facadeOf(read(path)) : read(path);
      return { contents: text + importsOfLayers(entry).join(''), loader: 'ts' };
    });
    onResolve({ filter: /\/operations\/[^/]+\.ts$/ }, ({ path, kind }) => {
      if (kind !== 'dynamic-import') return undefined;
      return {
        path: roomOf(path.slice(path.lastIndexOf('/') + 1, -3)),
        namespace: 'room',
        sideEffects: false,
      };
    });
    onLoad({ filter: /^/, namespace: 'room' }, ({ path: room }) => ({
      contents: roomText(room) + importsOfLayers(room).join(''),
      resolveDir: root,
    }));
  },
};

await build({
  entryPoints: ['cli.ts', 'lib/index.ts', 'resp/index.ts'],
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minify: true,
  plugins: [layers],
  logLevel: 'warning',
  logOverride: { 'ignored-bare-import': 'silent' },
});
