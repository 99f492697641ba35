// Takes the declarations out of dist that no public one leads to: half of what is written belongs to internal files alone.
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const needed = new Set();
const ahead = ['dist/lib/index.d.ts', 'dist/resp/index.d.ts'];
for (let file = ahead.pop(); file !== undefined; file = ahead.pop()) {
  if (needed.has(file)) continue;
  needed.add(file);
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*['"](\.[^'"]+)['"]/g)) {
    ahead.push(normalize(join(dirname(file), path)).replace(/\.[jt]s$/, '.d.ts'));
  }
}

for (const name of readdirSync('dist', { recursive: true }).map((path) => join('dist', path))) {
  if (name.endsWith('.d.ts') && !needed.has(name)) rmSync(name);
}
for (const name of readdirSync('dist', { recursive: true })
  .map((path) => join('dist', path))
  .sort()
  .reverse()) {
  if (statSync(name).isDirectory() && readdirSync(name).length === 0) rmSync(name, { recursive: true });
}
