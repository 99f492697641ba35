import type { Command } from '../command.ts';
import { changeFlags, newcomerFlags, newcomerOptions } from '../flags.ts';
import { operated } from '../outcome.ts';

export const replicateCommand: Command<'replicate'> = {
  name: 'replicate',
  usage: 'MASTER REPLICA',
  arity: [2, 2],
  summary: 'Add a node as a replica of a master, or give a replica to it',
  details:
    'If MASTER is a replica, its master is used. REPLICA may follow another one. Done when it has copied its master.',
  example: '127.0.0.1:7000 127.0.0.1:7004',
  flags: { ...newcomerFlags, ...changeFlags },
  run: async ({ positionals: [master = '', replica = ''], options: given, values }) => {
    const options = { ...given, ...newcomerOptions(values) };
    const { replicate } = await import('../../operations/replicate.ts');
    const result = await replicate(master, replica, options);
    const { before, expect } = result.plan;
    const [followed] = expect?.replicas ?? [];
    const of = before.find(({ id }) => id === followed?.masterId)?.address ?? master;
    return operated(result, `${replica} is a replica of ${of}`, `${replica} is already a replica of ${of}`);
  },
};
