import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import type { NodeFacts } from '../findings/newcomer-faults.ts';
import { parseAddress } from '../model/address.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Context } from './context.ts';
import { CREDENTIAL_QUESTIONS, readCredentials } from './credentials.ts';
import { readLibraries } from './libraries.ts';
import { DATABASES_QUESTION, databasesIn } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { RDB_QUESTIONS, readRdbSupport } from './rdb-support.ts';

const QUESTIONS: readonly Command[] = [
  ...RDB_QUESTIONS,
  ['FUNCTION', 'LIST'],
  DATABASES_QUESTION,
  ...CREDENTIAL_QUESTIONS,
];

/**
 * Asks nodes, each in one round trip, for what decides whether they fit together. What one refuses to say is left out.
 */
export async function askNodeFacts(
  { connections }: Pick<Context, 'connections'>,
  nodes: readonly NodeRef[],
): Promise<NodeFacts[]> {
  const answers = await inParallel(nodes, ({ address }) =>
    connections.askAll(parseAddress(address), QUESTIONS),
  );
  const functionsAt = RDB_QUESTIONS.length;
  const credentials = await readCredentials(answers.map((replies) => replies.slice(functionsAt + 2)));
  return nodes.map(({ address }, index) => {
    const replies = answers[index] ?? [];
    const { server, ...support } = readRdbSupport(replies);
    return {
      ...credentials[index],
      ...support,
      address,
      server: server.name,
      libraries: libraryNames(replies[functionsAt] ?? null, address),
      databases: databasesIn(replies[functionsAt + 1]),
    };
  });
}

function libraryNames(reply: Reply, address: string): string[] | undefined {
  return reply instanceof ReplyError ? undefined : [...(readLibraries(reply, address)?.keys() ?? [])];
}
