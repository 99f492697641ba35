// Rolls the declarations in dist, a file each as tsc writes them, into one for each public face: `npm run build`. What no public name
// leads to is left out, which is more than half.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const faces = ['dist/resp/index.d.ts', 'dist/lib/index.d.ts'];
const exported = /^export (?:type )?\{([^}]*)\} from '([^']+)';/gm;
const imported = /^import (?:type )?\{([^}]*)\} from '([^']+)';/gm;
const declared = /^(?:export )?(?:declare )?(?:abstract )?(?:class|const|function|interface|type) (\w+)/m;
const count = (text, part) => text.split(part).length - 1;
const codeOf = (text) => text.replace(/\/\*[\s\S]*?(?:\*\/|$)/g, '');
const wordsOf = (text) => new Set(codeOf(text).match(/[A-Za-z]\w*/g));
const listOf = (names) => names.split(',').flatMap((name) => name.trim() || []);
const pathFrom = (file, path) => normalize(join(dirname(file), path)).replace(/\.ts$/, '.d.ts');

/** Statements of a file of declarations, each with its comment. */
function statementsOf(text) {
  const statements = [];
  let open = '';
  for (const line of text.split('\n')) {
    open += `${line}\n`;
    const code = codeOf(open);
    const isWhole = ['{}', '()'].every(([from, to]) => count(code, from) === count(code, to));
    if (code.trim() !== '' && isWhole && /[;}]\s*$/.test(code)) {
      statements.push(open.replace(/^\n+/, ''));
      open = '';
    }
  }
  return open.trim() === '' ? statements : [...statements, open];
}

/** Every file that a face leads to, other faces excepted, and the names that it takes from those and from elsewhere. */
function readFrom(face) {
  const texts = new Map();
  const outside = new Map();
  const ahead = [face];
  for (let file = ahead.pop(); file !== undefined; file = ahead.pop()) {
    if (texts.has(file)) continue;
    const text = readFileSync(file, 'utf8');
    texts.set(file, text);
    for (const [statement, names, path] of [...text.matchAll(exported), ...text.matchAll(imported)]) {
      const isOutside = !path.startsWith('.') || faces.includes(pathFrom(file, path));
      if (!isOutside) {
        if (/ as /.test(names))
          throw new Error(`${file}: cannot roll up a name that is changed: ${statement}`);
        ahead.push(pathFrom(file, path));
      } else if (statement.startsWith('import')) {
        const from = path.startsWith('.') ? '../resp/index.js' : path;
        for (const name of listOf(names)) outside.set(name.split(' ').at(-1), { name, from });
      }
    }
  }
  return { texts, outside };
}

/** The statement that declares each name: one name means one thing, so that a file is not needed to tell which. */
function declarationsIn(texts) {
  const found = new Map();
  for (const [file, text] of texts) {
    for (const statement of statementsOf(text)) {
      const [, name] = declared.exec(codeOf(statement).trim()) ?? [];
      if (name === undefined) continue;
      if (found.has(name)) throw new Error(`${file}: "${name}" is declared twice`);
      found.set(name, statement);
    }
  }
  return found;
}

function rollUp(face) {
  const { texts, outside } = readFrom(face);
  const declarations = declarationsIn(texts);
  const faceText = texts.get(face);
  const inner = [];
  const passedOn = [];
  for (const [statement, names, path] of faceText.matchAll(exported)) {
    if (faces.includes(pathFrom(face, path))) passedOn.push(statement.replace(/\.ts';$/, ".js';"));
    else inner.push(...listOf(names));
  }
  const isTypeOnly = new Set(
    [...faceText.matchAll(/^export type \{([^}]*)\}/gm)].flatMap(([, names]) => listOf(names)),
  );
  const needed = new Set();
  const ahead = inner.map((name) => name.replace('type ', ''));
  for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
    if (needed.has(name)) continue;
    if (!declarations.has(name)) throw new Error(`${face}: nothing declares "${name}"`);
    needed.add(name);
    for (const word of wordsOf(declarations.get(name))) if (declarations.has(word)) ahead.push(word);
  }
  const body = [...needed].map((name) =>
    declarations
      .get(name)
      .replace(/^export /m, '')
      .replace(/^ {4,}/gm, (indent) => '\t'.repeat(indent.length / 4)),
  );
  const words = wordsOf(body.join(''));
  const imports = new Map();
  for (const [alias, { name, from }] of outside) {
    if (words.has(alias)) imports.set(from, [...(imports.get(from) ?? []), name.replace('type ', '')].sort());
  }
  const lines = [...imports].map(([from, names]) => `import type { ${names.join(', ')} } from '${from}';`);
  const list = inner.map((name) =>
    isTypeOnly.has(name) && !name.startsWith('type ') ? `type ${name}` : name,
  );
  return [
    ...lines,
    ...passedOn,
    `export { ${list.join(', ')} };`,
    ...body.map((text) => text.trimEnd()),
    '',
  ].join('\n');
}

const rolled = faces.map((face) => [face, rollUp(face)]);
for (const name of readdirSync('dist', { recursive: true })
  .map((path) => join('dist', path))
  .sort()
  .reverse()) {
  if (name.endsWith('.d.ts')) rmSync(name);
  else if (statSync(name).isDirectory() && readdirSync(name).length === 0) rmSync(name, { recursive: true });
}
for (const [face, text] of rolled) writeFileSync(face, text);
