// Bundles the command line, with the documents that help prints, into one file: `npm run build:single`.
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const { files } = JSON.parse(readFileSync('package.json', 'utf8'));
const texts = Object.fromEntries(
  files.flatMap((file) => {
    const [, topic] = /^docs\/(.+)\.md$/.exec(file) ?? [];
    return topic === undefined ? [] : [[topic, readFileSync(file, 'utf8')]];
  }),
);

const documents = {
  name: 'documents',
  setup({ onLoad }) {
    onLoad({ filter: /\/lib\/cli\/read-topic\.ts$/ }, () => ({
      contents: `const texts = ${JSON.stringify(texts)};\nexport const readTopic = (topic) => texts[topic];`,
      loader: 'js',
    }));
  },
};

await build({
  entryPoints: ['cli.ts'],
  outfile: 'dist-single/redis-trib.mjs',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minifyWhitespace: true,
  plugins: [documents],
  logLevel: 'warning',
});
