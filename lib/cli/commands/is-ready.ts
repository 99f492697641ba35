import type { Command } from '../command.ts';

export const isReadyCommand: Command<'is_ready'> = {
  name: 'is_ready',
  usage: 'NODE',
  arity: [1, 1],
  summary: 'Say whether a node serves and agrees with the others, as a readiness probe',
  details: 'Exit code 0 if it does, 1 if not.',
  example: '127.0.0.1:7000',
  run: async ({ positionals: [node = ''], options }) => {
    const { isReady } = await import('../../operations/is-ready.ts');
    const { ok, ...data } = await isReady(node, options);
    const text = ok
      ? `Ready: a ${data.role}`
      : ['Not ready', ...data.missing.map((line) => `  ${line}`)].join('\n');
    return { ok, text, data };
  },
};
