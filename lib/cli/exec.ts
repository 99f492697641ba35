import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerToRestart } from '../options.ts';
import { UsageError } from './io.ts';

/** Most of the output of a command that is shown: its end. */
const SHOWN = 10_000;

/**
 * Splits a command into words as a shell does: at blanks, unless they are in quotes or after a backslash. Nothing else is special. Throws a
 * UsageError for a quote that is not closed, and for no words.
 */
export function splitWords(command: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let at = 0; at < command.length; at++) {
    const letter = command.charAt(at);
    if (quote !== undefined) {
      const next = command.charAt(at + 1);
      if (letter === quote) quote = undefined;
      else if (quote === '"' && letter === '\\' && (next === '"' || next === '\\')) {
        word += next;
        at += 1;
      } else word += letter;
    } else if (letter === '"' || letter === "'") {
      quote = letter;
      word ??= '';
    } else if (letter === '\\' && at + 1 < command.length) {
      at += 1;
      word = (word ?? '') + command.charAt(at);
    } else if (/\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + letter;
  }
  if (quote !== undefined) throw new UsageError(`A quote is not closed in --exec: ${quote}`);
  if (word !== undefined) words.push(word);
  if (words.length === 0) throw new UsageError('Not a command for --exec: it is empty');
  return words;
}

/** Replaces `{host}`, `{port}` and `{id}` in each word. What stands for them is never split, nor read by a shell. */
export function fillIn(words: readonly string[], { host, port, id }: ServerToRestart): string[] {
  // Hosts come from the cluster: one must not pass for an option of the command.
  if (host.startsWith('-')) throw new Error(`its host "${host}" begins with a dash`);
  const values: Readonly<Record<string, string>> = { host, port: `${port}`, id };
  return words.map((word) => word.replaceAll(/\{(host|port|id)\}/g, (text, name) => values[name] ?? text));
}

/**
 * Returns a function that runs a command for a server, without a shell, and rejects unless its exit code is 0. `show` gets its output
 * if it fails, and in any case if `always`.
 */
export function runner(
  command: string,
  show: (text: string) => void,
  always: boolean,
): (server: ServerToRestart) => Promise<void> {
  const words = splitWords(command);
  return async (server) => {
    const [file = '', ...args] = fillIn(words, server);
    const dir = mkdtempSync(join(tmpdir(), 'redis-trib-exec-'));
    // A file and not a pipe: a server that the command leaves running keeps it open.
    const output = join(dir, 'output');
    const written = openSync(output, 'w');
    let failure: string | undefined;
    try {
      failure = await ended(file, args, written);
      if (failure !== undefined || always) show(readFileSync(output, 'utf8').slice(-SHOWN));
    } finally {
      closeSync(written);
      rmSync(dir, { recursive: true, force: true });
    }
    if (failure !== undefined) throw new Error(failure);
  };
}

/** How a command failed; undefined if it did not. Detached, so that Ctrl-C does not end it halfway. */
function ended(file: string, args: readonly string[], output: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ['ignore', output, output], detached: true });
    child.on('error', (error) => resolve(`cannot run ${file}: ${error.message}`));
    child.on('exit', (code, signal) => {
      if (code === 0) resolve(undefined);
      else resolve(code === null ? `${file} was ended by ${signal}` : `${file} ended with exit code ${code}`);
    });
  });
}
