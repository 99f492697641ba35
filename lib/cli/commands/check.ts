import { checked } from '../check-view.ts';
import type { Command } from '../command.ts';

export const check: Command = {
  name: 'check',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Ask every node and tell what is wrong',
  example: '127.0.0.1:7000',
  run: async ({ positionals: [node = ''], options }) => {
    const { check } = await import('../../index.ts');
    return checked(await check(node, options));
  },
};
