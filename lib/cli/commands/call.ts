import { type Command, MANY } from '../command.ts';
import { executed } from '../execute-view.ts';

export const callCommand: Command<'call'> = {
  name: 'call',
  usage: 'CLUSTER COMMAND [ARG...]',
  arity: [2, MANY],
  summary: 'Run a command on every node, like execute, by the name that redis-cli uses',
  details:
    'Options come before COMMAND: everything after it belongs to it, dashes included. Exit code 1 if any node fails.',
  example: '127.0.0.1:7000 CONFIG GET maxmemory',
  flags: {
    'only-masters': { type: 'boolean', help: 'Masters only' },
    'only-replicas': { type: 'boolean', help: 'Replicas only' },
  },
  takesCommand: true,
  run: async ({ positionals: [node = '', ...command], options, values }) => {
    const { execute } = await import('../../operations/execute.ts');
    const roles = {
      mastersOnly: values['only-masters'] === true,
      replicasOnly: values['only-replicas'] === true,
    };
    return executed(await execute(node, command, { ...options, ...roles }));
  },
};
