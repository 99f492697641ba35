import { readFileSync } from 'node:fs';

export const readme: string = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** An example of the manual. */
export interface Shown {
  /** The command line without the name of the program, such as `check 10.0.0.1:7000`. */
  readonly line: string;
  /** What it prints: nothing if that is not shown. `…` stands for lines that are left out. */
  readonly output: string;
}

/** The examples in a part of the README: lines with a `$`, and what is below them in the same block. */
export function examplesIn(text: string): Shown[] {
  const shown =
    /^ {4}\$ (?:source <\()?redis-trib ([^)\n]+)\)?((?:\n(?! {4}\$) {4}.*|\n(?=\n {4}(?!\$)))*)/gm;
  return [...text.matchAll(shown)].map(([, line = '', output = '']) => ({
    line,
    output: output.replace(/^\n/, '').replaceAll(/^ {4}/gm, ''),
  }));
}
