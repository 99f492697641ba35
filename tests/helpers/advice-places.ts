import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NextAct } from '../../lib/index.ts';

/** A place in the sources that says what to do next. */
export interface AdvicePlace {
  /** The file and the function. */
  readonly where: string;
  /** `act {option} (condition)`. */
  readonly what: string;
  readonly act: NextAct;
  /** True if keys, settings or membership may be lost by it. */
  readonly destroys: boolean;
}

const ACTS: Readonly<Record<NextAct, true>> = {
  rejoin: true,
  retry: true,
  resume: true,
  'retry-rest': true,
  check: true,
  list: true,
  fix: true,
  failover: true,
  rescue: true,
  replicate: true,
  join: true,
  'join-no-load': true,
  quit: true,
  'del-node': true,
  shutdown: true,
  start: true,
  'migrate-slots': true,
  reshard: true,
  rebalance: true,
  spread: true,
  plan: true,
  wait: true,
  'start-node': true,
  'restart-node': true,
  configure: true,
  command: true,
  execute: true,
};

const DESTROYING =
  /\bdo: '(del-node|rescue|quit|shutdown)'|withUnreachableMasters|strayKeys|\bmode\b|force:|replace:|functions:|ignoreFailed|FLUSHALL|RESET|DELETE|FORGET/;

/** Every place below a directory with an object literal that is a `Next`. */
export function advicePlaces(root: string): AdvicePlace[] {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts'))
    .sort();
  const found = files.flatMap((file) => placesIn(file, readFileSync(join(root, file), 'utf8')));
  return [...new Map(found.map((one) => [`${one.where}: ${one.what}`, one])).values()];
}

/** The same in the text of one file. */
export function placesIn(file: string, text: string): AdvicePlace[] {
  return [...text.matchAll(/\bdo: '([a-z-]+)'/g)].flatMap(({ 1: act = '', index }) => {
    if (!isAct(act)) return [];
    const literal = literalAround(text, index);
    // A type, not a value.
    if (/^\{\s*readonly/.test(literal)) return [];
    const options = [
      ...(/\boptions: \{([^}]*)\}/.exec(literal)?.[1] ?? '').matchAll(/(\w+)(?::[^,]*)?(?:,|$)/g),
    ];
    const when = [...literal.matchAll(/'([a-z-]+)'/g)]
      .map(({ 1: word = '' }) => word)
      .filter((word) => literal.slice(0, literal.indexOf(`'${word}'`)).includes('when:'));
    const words = [
      act,
      ...(options.length > 0 ? [`{${options.map(({ 1: name }) => name).join(', ')}}`] : []),
      ...(when.length > 0 ? [`(${when.join(' or ')})`] : []),
    ];
    const where = `${file} ${nameAround(text, index)}`;
    return [{ where, what: words.join(' '), act, destroys: DESTROYING.test(literal) }];
  });
}

function isAct(word: string): word is NextAct {
  return word in ACTS;
}

/** The innermost braces around a place. */
function literalAround(text: string, index: number): string {
  const from = text.lastIndexOf('{', index);
  let depth = 0;
  for (let to = from; to < text.length; to++) {
    if (text[to] === '{') depth++;
    if (text[to] === '}' && --depth === 0) return text.slice(from, to + 1);
  }
  return text.slice(from);
}

/** The name of the function, method or constant at the top of the file that a place belongs to. */
function nameAround(text: string, index: number): string {
  const names = text.slice(0, index).matchAll(/^(?:export )?(?:async )?(?:function\*?|const|class) (\w+)/gm);
  return [...names].at(-1)?.[1] ?? '';
}
