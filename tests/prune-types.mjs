// Takes out of the declarations in dist what no public one leads to: functions that are not exported to callers, what only they
// import, and the files that nothing leads to then. Half of what is written belongs to internal code alone.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const faces = ['dist/lib/index.d.ts', 'dist/resp/index.d.ts'];
const publicText = faces.map((file) => readFileSync(file, 'utf8')).join('\n');
const isPublic = (name) => new RegExp(`\\b${name}\\b`).test(publicText);
const count = (text, part) => text.split(part).length - 1;

/** Statements of a file of declarations, each with its comment. */
function statementsOf(text) {
  const statements = [];
  let open = '';
  for (const line of text.split('\n')) {
    open += `${line}\n`;
    const code = open.replace(/\/\*[\s\S]*?(?:\*\/|$)/g, '');
    const isWhole = ['{}', '()'].every(([from, to]) => count(code, from) === count(code, to));
    if (code.trim() !== '' && isWhole && /[;}]\s*$/.test(code)) {
      statements.push(open);
      open = '';
    }
  }
  return open.trim() === '' ? statements : [...statements, open];
}

function withoutInternal(text) {
  const kept = statementsOf(text).filter((statement) => {
    const [, name] = /^export declare (?:async )?(?:function|const) (\w+)/m.exec(statement) ?? [];
    return name === undefined || isPublic(name);
  });
  const rest = kept.filter((statement) => !statement.startsWith('import ')).join('');
  return kept
    .map((statement) =>
      statement.replace(/^import (type )?\{([^}]*)\} from ([^;]*);/, (_, type = '', names, from) => {
        const used = names
          .split(',')
          .filter((name) => new RegExp(`\\b${name.trim().split(' ').at(-1)}\\b`).test(rest));
        return used.length === 0
          ? ''
          : `import ${type}{ ${used.map((name) => name.trim()).join(', ')} } from ${from};`;
      }),
    )
    .join('')
    .replace(/^\n+/gm, '');
}

const needed = new Set();
const ahead = [...faces];
for (let file = ahead.pop(); file !== undefined; file = ahead.pop()) {
  if (needed.has(file)) continue;
  needed.add(file);
  const whole = readFileSync(file, 'utf8');
  const text = faces.includes(file) ? whole : withoutInternal(whole);
  if (text !== whole) writeFileSync(file, text);
  for (const [, path] of text.matchAll(/(?:from|import\()\s*['"](\.[^'"]+)['"]/g)) {
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
