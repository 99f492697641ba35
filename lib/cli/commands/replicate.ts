import type { Command } from '../command.ts';
import { changeFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const replicate: Command = {
  name: 'replicate',
  usage: 'MASTER REPLICA',
  arity: [2, 2],
  summary: 'Add a node as a replica of a master',
  details: 'Where MASTER is a replica, its master is meant. Done when the replica has copied its master.',
  example: '127.0.0.1:7000 127.0.0.1:7004',
  flags: changeFlags,
  run: async ({ positionals: [master = '', replica = ''], options }) => {
    const { replicate } = await import('../../operations/replicate.ts');
    const result = await replicate(master, replica, options);
    const step = result.plan.steps.find(({ type }) => type === 'replicate');
    const of = step?.type === 'replicate' ? step.master.address : master;
    return operated(result, `${replica} is a replica of ${of}`);
  },
};
