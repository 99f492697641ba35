import type { Command } from '../command.ts';
import { UsageError } from '../io.ts';

export const completion: Command = {
  name: 'completion',
  usage: 'SHELL',
  arity: [1, 1],
  summary: 'Print the script by which a shell completes commands and options',
  details: 'SHELL is bash, zsh or fish. For bash: source <(redis-trib completion bash)',
  example: 'bash',
  isLocal: true,
  run: async ({ positionals: [named = ''], commands }) => {
    const { completionScript, SHELLS } = await import('../completion.ts');
    const shell = SHELLS.find((one) => one === named);
    if (!shell) throw new UsageError(`Not a shell: "${named}" (expected ${SHELLS.join(', ')})`);
    const script = completionScript(shell, commands);
    return { ok: true, text: script, data: { shell, script } };
  },
};
