import { formatBytes } from '../../model/bytes.ts';
import type { Command } from '../command.ts';
import { count } from '../figures.ts';

/** The data of `bundle`. */
export interface BundleData {
  /** Where it is. */
  readonly file: string;
  readonly bytes: number;
  /** How many addresses were asked. */
  readonly nodes: number;
}

export const bundleCommand: Command<'bundle'> = {
  name: 'bundle',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Write what all nodes answer to a file, to look at the cluster elsewhere',
  details:
    'check, list, info, explain and report read it with --from FILE. It holds no keys, no values and no passwords.',
  example: '127.0.0.1:7000 --anonymous',
  flags: {
    output: { type: 'string', value: 'FILE', help: 'Where to write it (redis-trib-TIME.json)' },
    anonymous: {
      type: 'boolean',
      help: 'Put stand-ins for all names: hosts, users and others',
    },
  },
  run: async ({ positionals: [cluster = ''], elsewhere, options, values }) => {
    const { bundleCluster } = await import('../../operations/bundle-cluster.ts');
    const bundle = await bundleCluster(cluster, {
      ...options,
      elsewhere,
      anonymous: values.anonymous === true,
    });
    const { bundleName, writeBundle } = await import('../bundle-file.ts');
    const file = typeof values.output === 'string' ? values.output : bundleName(bundle.at);
    const bytes = writeBundle(file, bundle);
    return {
      ok: true,
      text: `${file}: what ${count(bundle.nodes.length, 'node')} answered, ${formatBytes(bytes)}`,
      data: { file, bytes, nodes: bundle.nodes.length },
    };
  },
};
