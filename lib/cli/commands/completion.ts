import type { Command } from '../command.ts';
import { UsageError } from '../io.ts';

export const completion: Command = {
  name: 'completion',
  usage: 'SHELL',
  arity: [1, 1],
  summary: 'Print the script by which a shell completes commands and options',
  details: 'SHELL is bash, zsh or fish. For bash: source <(redis-trib completion bash)',
  example: 'bash',
  run: async ({ positionals: [named = ''] }) => {
    const { completionScript, SHELLS } = await import('../completion.ts');
    const shell = SHELLS.find((one) => one === named);
    if (!shell) throw new UsageError(`Not a shell: "${named}" (expected ${SHELLS.join(', ')})`);
    const script = completionScript(shell);
    return { ok: true, text: script, data: { shell, script } };
  },
};
