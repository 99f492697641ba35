// Bundles the published code into dist, where tsc has already written the types: `npm run build`.
//
// The time to start depends on the number of files more than on text: on Node 20, a file costs as much as 8 kB of code. esbuild
// makes a file for everything that the same entries share, which would be dozens. So entries here include whole layers, needed
// or not, and operations are loaded by room.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

/** Operations loaded together. All others are in the room `changing`. */
const ROOMS = {
  listing: ['cluster-info', 'execute', 'find-seed', 'list-nodes'],
  reading: ['check', 'cluster-metrics', 'explain', 'ok-to-stop', 'set-node-timeout', 'slot-fill', 'wait-for'],
  probing: ['is-ready', 'step-down'],
  bundling: ['bundle-cluster'],
  declaring: ['ensure-cluster'],
  keys: [
    'backup-cluster',
    'compare-keys',
    'follow-keys',
    'import-keys',
    'restore-cluster',
    'survey-backup',
    'survey-keys',
  ],
  watching: ['watch'],
  measuring: ['find-hot-spots'],
};

/** Layers, given by files that import all of them. */
const core = [
  'lib/operations/cluster.ts',
  'lib/model/cluster-node.ts',
  'lib/plan/plan.ts',
  'lib/model/left-keys.ts',
  'lib/model/metric.ts',
  'lib/plan/moves.ts',
  'lib/nodes/deadline.ts',
  'lib/nodes/look.ts',
  'lib/nodes/node-info.ts',
  'lib/nodes/server.ts',
  'lib/nodes/wait-until.ts',
];
const plans = ['lib/operations/parse-plan.ts', 'lib/plan/balance.ts', 'lib/plan/from-view.ts'];
const looking = [
  'lib/nodes/context.ts',
  'lib/nodes/key-content.ts',
  'lib/nodes/replication.ts',
  'lib/move/throttle.ts',
  'lib/plan/stray-answer.ts',
  'lib/nodes/stray-keys.ts',
  'lib/nodes/requirements.ts',
  'lib/nodes/node-info.ts',
  'lib/findings/findings.ts',
  'lib/apply/look-claimed.ts',
  'lib/apply/admit.ts',
  'lib/nodes/addresses-of.ts',
  'lib/plan/places.ts',
  'lib/findings/stop-verdict.ts',
  'lib/model/zones.ts',
  'lib/move/by-servers/dialects.ts',
  'lib/nodes/inspect.ts',
  'lib/nodes/named-masters.ts',
  'lib/nodes/shards.ts',
  'lib/nodes/node-timeout.ts',
  'lib/model/refused-writes.ts',
  'lib/nodes/setup.ts',
  'lib/nodes/slot-loads.ts',
  'lib/nodes/slot-stats.ts',
  'lib/nodes/unlisted-nodes.ts',
  'lib/operations/check.ts',
];
const commands = ['version', 'cli/approve', 'cli/commands', 'cli/move-options', 'cli/progress'].map(
  (name) => `lib/${name}.ts`,
);

const LAYERS = {
  'lib/index.ts': [core, plans],
  'lib/cli/main.ts': [core, commands],
  'lib/cli/bundle-file.ts': [core, commands, looking, plans],
  'lib/cli/new-file.ts': [core, commands],
  'lib/cli/report/html.ts': [core, commands],
  'lib/cli/report/markdown.ts': [core, commands],
  'lib/cli/report/of-cluster.ts': [core, commands, looking],
  'lib/cli/report/of-plan.ts': [core, commands, plans],
  'lib/cli/compat/run.ts': [core, commands, looking],
  'lib/cli/completion.ts': [core, commands],
  'lib/cli/difference-list.ts': [core, commands],
  'lib/cli/demo-servers.ts': [core, commands, looking],
  'lib/cli/error-view.ts': [core, commands],
  'lib/cli/exec.ts': [core, commands],
  'lib/cli/exec-options.ts': [core, commands],
  'lib/cli/explain-view.ts': [core, commands],
  'lib/cli/help.ts': [core, commands],
  'lib/cli/hot-view.ts': [core, commands],
  'lib/cli/hints.ts': [core, commands],
  'lib/cli/key-list.ts': [core, commands],
  'lib/cli/keys-view.ts': [core, commands],
  'lib/cli/many-findings.ts': [core, commands, looking],
  'lib/cli/nearest.ts': [core, commands],
  'lib/cli/practise/practice.ts': [core, commands, looking],
  'lib/cli/plan-file.ts': [core, commands, plans],
  'lib/cli/sent-lines.ts': [core, commands],
  'lib/cli/serve-metrics.ts': [core, commands, looking],
  'lib/cli/settle-line.ts': [core, commands],
  'lib/cli/slot-map-view.ts': [core, commands, plans],
  'lib/cli/standing-view.ts': [core, commands],
  'lib/cli/topics.ts': [core, commands],
  'lib/cli/top/move-screen.ts': [core, commands, looking],
  'lib/cli/top/run-top.ts': [core, commands, looking],
  'lib/cli/top/terminal.ts': [core, commands],
  'lib/apply/admit.ts': [core, looking],
  'lib/apply/steps/restart.ts': [core, looking, plans],
  'lib/plan/spread.ts': [core, looking, plans],
  'lib/nodes/heirs.ts': [core, looking],
  'lib/nodes/stopping.ts': [core, looking],
  'lib/operations/replace-failed.ts': [core, looking, plans],
  'lib/operations/replace-pairs.ts': [core, looking, plans],
  'lib/plan/replace.ts': [core, looking, plans],
  listing: [core],
  reading: [core, looking],
  probing: [core],
  bundling: [core, commands, looking],
  declaring: [core, looking, plans],
  watching: [core, looking],
  measuring: [core, looking],
  keys: [core, looking],
  changing: [core, looking, plans],
};

const read = (file) => readFileSync(file, 'utf8');
const importsOfLayers = (entry) =>
  (LAYERS[entry] ?? []).flat().map((file) => `\nimport ${JSON.stringify(join(root, file))};`);

const publicOperations = /^export \{([^}]*)\} from '\.\/operations\/([^']+)\.ts';$/gm;

/** Replaces operations by functions that load their room when they are first called: importing loads none. */
function facadeOf(text) {
  return text.replace(publicOperations, (exported, list, operation) => {
    if (LAYERS['lib/index.ts'].flat().includes(`lib/operations/${operation}.ts`)) return exported;
    const types = read(`dist/lib/operations/${operation}.d.ts`);
    return list
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '' && !name.startsWith('type '))
      .map((name) => {
        const [, kind] =
          new RegExp(`^export declare function ${name}\\(.*\\): (Promise|AsyncGenerator)<`, 'm').exec(
            types,
          ) ?? [];
        const call = `(await import('./operations/${operation}.ts')).${name}(...given)`;
        if (kind === 'Promise') return `export async function ${name}(...given) { return ${call}; }`;
        if (kind) return `export async function* ${name}(...given) { return yield* ${call}; }`;
        return `export { ${name} } from './operations/${operation}.ts';`;
      })
      .join('\n');
  });
}

const roomOf = (operation) =>
  Object.keys(ROOMS).find((room) => ROOMS[room].includes(operation)) ?? 'changing';

/** Operations that the facade, the command line or another operation loads. */
function loadedOperations() {
  const commandLine = readdirSync('lib/cli', { recursive: true }).filter((name) => name.endsWith('.ts'));
  const texts = [
    facadeOf(read('lib/index.ts')),
    ...commandLine.map((name) => read(join('lib/cli', name))),
    ...readdirSync('lib/operations').map((name) => read(join('lib/operations', name))),
  ];
  const loaded = texts.flatMap((text) => [...text.matchAll(/import\('[./]+operations\/([^']+)\.ts'\)/g)]);
  return [...new Set(loaded.map(([, operation]) => operation))];
}

function roomText(room) {
  return loadedOperations()
    .filter((operation) => roomOf(operation) === room)
    .map((operation) => {
      const file = `lib/operations/${operation}.ts`;
      const names = [...read(file).matchAll(/^export (?:async )?function\*? (\w+)/gm)].map(
        ([, name]) => name,
      );
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

const { outputFiles } = await build({
  entryPoints: ['cli.ts', 'lib/index.ts', 'resp/index.ts'],
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minify: true,
  write: false,
  plugins: [layers],
  logLevel: 'warning',
  logOverride: { 'ignored-bare-import': 'silent' },
});

// What esbuild leaves is another twenty-fifth smaller after terser, which also looks into what is called once, and constant.
for (const { path, text } of outputFiles) {
  const { code = text } = await minify(text, { module: true, ecma: 2020, compress: { passes: 2 } });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, code, text.startsWith('#!') ? { mode: 0o755 } : {});
}
