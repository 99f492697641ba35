import { type Command, MANY } from '../command.ts';
import { executed } from '../execute-view.ts';

export const executeCommand: Command<'execute'> = {
  name: 'execute',
  usage: 'CLUSTER COMMAND [ARGUMENT...]',
  arity: [2, MANY],
  summary: 'Run a command on every node',
  details: 'Options come before COMMAND. Exit code 1 if any node answers with an error or not at all.',
  example: '127.0.0.1:7000 CONFIG GET maxmemory',
  flags: {
    'master-only': { type: 'boolean', help: 'Masters only' },
    'slave-only': { type: 'boolean', help: 'Replicas only' },
  },
  takesCommand: true,
  run: async ({ positionals: [node = '', ...command], options, values }) => {
    const { execute } = await import('../../operations/execute.ts');
    const roles = {
      mastersOnly: values['master-only'] === true,
      replicasOnly: values['slave-only'] === true,
    };
    return executed(await execute(node, command, { ...options, ...roles }));
  },
};
