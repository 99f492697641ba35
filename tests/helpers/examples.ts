import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

/** A value of a YAML document. */
export type Yaml = string | number | boolean | null | readonly Yaml[] | { readonly [field: string]: Yaml };

const folder = new URL('../../examples/', import.meta.url);

export function readExample(file: string): string {
  return readFileSync(new URL(file, folder), 'utf8');
}

/** The documents of an example. Throws on anything that a strict reader does not take, such as a field twice. */
export function documentsOf(file: string): Yaml[] {
  return parseAllDocuments(readExample(file)).map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw problem;
    return document.toJS() as Yaml;
  });
}

/** Every value of this field, wherever it is. */
export function valuesOf(value: Yaml, field: string): Yaml[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap((item: Yaml) => valuesOf(item, field));
  return Object.entries(value).flatMap(([name, inner]) => [
    ...(name === field ? [inner] : []),
    ...valuesOf(inner, field),
  ]);
}

/** Every command line of redis-trib in a document, as words, in order: of a list of words or of a script. */
export function commandsIn(value: Yaml): string[][] {
  if (typeof value === 'string') return commandsOf(value);
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) {
    if (value.includes('redis-trib')) return [value.map(String).slice(value.indexOf('redis-trib') + 1)];
    return value.flatMap(commandsIn);
  }
  const { command, args, ...rest } = value as Readonly<Record<string, Yaml>>;
  const own = [command, args].flatMap((words) => words ?? []);
  return [...commandsIn(own), ...Object.values(rest).flatMap(commandsIn)];
}

/** The same of a script: each is on a line of its own. */
export function commandsOf(script: string): string[][] {
  return script
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .flatMap((line) => {
      const [, words] =
        /(?:^|[\s/-])redis-trib ((?:ensure|wait|check|backup|step_down|is_ready) .*)/.exec(line) ?? [];
      return words === undefined ? [] : [words.match(/"[^"]*"|\$?\{+[^}]*\}+|\S+/g) ?? []];
    })
    .map((words) => words.map((word) => word.replaceAll('"', '')));
}
