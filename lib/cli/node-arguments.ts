import { messageOf } from '../errors.ts';
import { formatAddress, parseAddress, unmapAddress } from '../model/address.ts';
import type { OperationOptions } from '../options.ts';
import type { Command, Invocation } from './command.ts';
import { UsageError } from './io.ts';

/** Placeholders in usage that stand for a node. */
const NODE_WORD = /^(NODE|CLUSTER|NEW|MASTER|REPLICA|SOURCE|TARGET)/;

/** Checks the address syntax of all leading arguments that stand for a node, before any node is contacted. */
export function requireAddresses({ usage, name }: Command, positionals: readonly string[]): void {
  const words = usage.split(' ');
  for (const [index, given] of positionals.entries()) {
    const word = words[index] ?? words.at(-1) ?? '';
    if (!NODE_WORD.test(word)) return;
    for (const text of word === 'CLUSTER' ? given.split(',') : [given]) requireAddress(text, name);
  }
}

function requireAddress(text: string, name: string): void {
  const urlError = new UsageError(
    'Not an address: write host:port, or a URL that begins with redis:// or rediss://',
    name,
  );
  if (text.includes('://')) throw urlError;
  try {
    parseAddress(text);
  } catch (error) {
    // The text before an @ may be a password, so the error must not repeat it.
    throw text.includes('@') ? urlError : new UsageError(messageOf(error), name);
  }
}

/**
 * Of a list of nodes of one cluster, takes the first that answers. Turns an address as reached into the one that the node announces
 * (--address-map).
 */
export async function nameNodes(
  { usage, takesList }: Command,
  positionals: readonly string[],
  options: OperationOptions,
): Promise<Pick<Invocation, 'positionals' | 'elsewhere'>> {
  const words = usage.split(' ');
  const named: string[] = [];
  const elsewhere: string[] = [];
  for (const [index, text] of positionals.entries()) {
    const word = words[index] ?? words.at(-1) ?? '';
    if (!NODE_WORD.test(word)) return { positionals: [...named, ...positionals.slice(index)], elsewhere };
    const nodes = (word === 'CLUSTER' ? text.split(',') : [text]).map((node) =>
      formatAddress(unmapAddress(options.addressMap, parseAddress(node))),
    );
    if (nodes.length === 1 || takesList) named.push(nodes.join());
    else {
      const seed = await (await import('../operations/find-seed.ts')).findSeed(nodes, options);
      named.push(seed);
      elsewhere.push(...nodes.filter((node) => node !== seed));
    }
  }
  return { positionals: named, elsewhere };
}
