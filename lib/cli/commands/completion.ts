import type { Command } from '../command.ts';
import type { Shell } from '../completion.ts';
import { UsageError } from '../io.ts';

/** The data of `completion`. */
export interface CompletionData {
  readonly shell: Shell;
  readonly script: string;
}

export const completionCommand: Command<'completion'> = {
  name: 'completion',
  usage: 'SHELL',
  arity: [1, 1],
  summary: 'Print a script that makes a shell complete commands, options, nodes and topics',
  details: 'SHELL is bash, zsh or fish. For bash: source <(redis-trib completion bash)',
  example: 'bash',
  isLocal: true,
  run: async ({ positionals: [named = ''], commands }) => {
    const { completionScript, SHELLS } = await import('../completion.ts');
    const shell = SHELLS.find((one) => one === named);
    if (!shell) throw new UsageError(`Not a shell: "${named}" (expected ${SHELLS.join(', ')})`);
    // From the entries that hold them anyway: files of their own would cost other starts one.
    const [{ helpWords, sectionsOfTopics }, { compatArity, compatOptions }] = await Promise.all([
      import('../topics.ts'),
      import('../compat/run.ts'),
    ]);
    const sections = sectionsOfTopics();
    const cluster = { commands: Object.keys(compatArity), options: Object.keys(compatOptions) };
    const script = completionScript(shell, { commands, topics: helpWords, sections, cluster });
    return { ok: true, text: script, data: { shell, script } };
  },
};
