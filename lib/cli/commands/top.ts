import type { Command } from '../command.ts';

export const topCommand: Command<'top'> = {
  name: 'top',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Show what the nodes do, and what moves, as it happens',
  details:
    'Keys: q or Ctrl-C to quit, s to sort by the next column, up and down to select a node, p to freeze the picture.\n' +
    'Without a terminal it prints a line each time, with --json-stream a JSON object.',
  example: '127.0.0.1:7000',
  isLive: true,
  flags: {
    interval: { type: 'string', value: 'MS', help: 'Time between two pictures (1000)' },
    count: { type: 'string', value: 'N', help: 'Stop after so many pictures' },
  },
  run: async (invocation) => (await import('../top/run-top.ts')).runTop(invocation),
};
