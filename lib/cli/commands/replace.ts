import { type AddressMap, formatAddress, parseAddress, unmapAddress } from '../../model/address.ts';
import type { ReplaceResult } from '../../operations/replace-nodes.ts';
import { type Command, MANY } from '../command.ts';
import { count, duration } from '../figures.ts';
import { changeFlags, newcomerFlags, newcomerOptions } from '../flags.ts';
import { UsageError } from '../io.ts';
import { type Outcome, operated } from '../outcome.ts';

export const replaceCommand: Command<'replace'> = {
  name: 'replace',
  usage: 'CLUSTER OLD=NEW...',
  arity: [2, MANY],
  summary: 'Replace nodes one for one by empty servers, also of another engine',
  details:
    'NEW is the address of an empty server, OLD a node id, the beginning of one, or an address. NEW copies OLD, or the ' +
    'master of OLD, and takes its place: a master hands over by a failover, which loses no write. Then OLD is forgotten ' +
    'and reset. Of each host, one node is copied at a time. A NEW that cannot read the snapshots of OLD is refused.',
  example: '127.0.0.1:7000 127.0.0.1:7001=127.0.0.1:7006',
  asks: true,
  flags: {
    batch: { type: 'boolean', help: 'Copy several nodes of a host at the same time' },
    ...newcomerFlags,
    ...changeFlags,
  },
  run: async ({ positionals: [cluster = '', ...pairs], options, values }) => {
    const replacements = pairs.map((pair) => readPair(pair, options.addressMap));
    const { replaceNodes } = await import('../../operations/replace-nodes.ts');
    return replaceOutcome(
      await replaceNodes(cluster, replacements, {
        ...options,
        ...newcomerOptions(values),
        batch: values.batch === true,
      }),
    );
  },
};

function readPair(text: string, map: AddressMap | undefined): { readonly node: string; readonly by: string } {
  // It may hold a password.
  if (/:\/\/|@/.test(text))
    throw new UsageError('Not a replacement: write host:port on either side, not a URL');
  const [node = '', by = '', ...more] = text.split('=');
  if (node === '' || by === '' || more.length > 0)
    throw new UsageError(`Not a replacement: "${text}" (expected OLD=NEW)`);
  return { node: named(node, map), by: named(by, map) };
}

/** An address as the node announces it, if this is an address. */
function named(text: string, map: AddressMap | undefined): string {
  try {
    return formatAddress(unmapAddress(map, parseAddress(text)));
  } catch {
    return text;
  }
}

function replaceOutcome(result: ReplaceResult): Outcome<ReplaceResult> {
  const { replaced, failovers, withoutMasterMs } = result;
  const felt = failovers > 0 ? `; a slot had no master for ${duration(withoutMasterMs)} at most` : '';
  const what = `${count(replaced, 'node')} replaced, ${count(failovers, 'failover')}${felt}`;
  const outcome = operated(result, replaced === 0 ? 'All of them have been replaced already' : what);
  const data = { ...outcome.data, replaced, failovers, withoutMasterMs: Math.round(withoutMasterMs) };
  return { ...outcome, data };
}
