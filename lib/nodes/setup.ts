import type { Command, Reply } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { MIN_REPLICAS, STOP_WRITES } from '../model/refused-writes.ts';
import type { NodeSetup } from '../model/setup.ts';
import type { ClusterView } from '../model/view.ts';
import type { Connections } from './connections.ts';
import { CREDENTIAL_QUESTIONS, readCredentials } from './credentials.ts';
import { type Libraries, readLibraries } from './libraries.ts';
import { pairsIn } from './pairs.ts';

/** Servers before 7.0 accept only one pattern in CONFIG GET. */
const PATTERNS = ['cluster-*', 'maxmemory', 'appendonly', 'save', MIN_REPLICAS, STOP_WRITES] as const;

const ID = /^[0-9a-f]{40}$/;

const COMMANDS: readonly Command[] = [
  ...PATTERNS.map((pattern): Command => ['CONFIG', 'GET', pattern]),
  ...CREDENTIAL_QUESTIONS,
  ['FUNCTION', 'LIST', 'WITHCODE'],
  ['CLUSTER', 'MYSHARDID'],
];

/** Replies of nodes to the questions of what they are set up with, each node asked once. */
export class NodeSetups {
  readonly #connections: Connections;
  readonly #asked = new Map<string, Promise<readonly Reply[]>>();

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** Sends the questions together with everything else that is sent to a node at this moment. */
  ask(address: Address): void {
    const name = formatAddress(address);
    if (this.#asked.has(name)) return;
    // A node that refuses costs the comparison, not the check.
    const replies = this.#connections.askAll(address, COMMANDS, { early: true }).catch(() => []);
    this.#asked.set(name, replies);
  }

  /** What the nodes that were asked answered, by id. */
  async of({ reports }: ClusterView): Promise<Map<string, NodeSetup>> {
    const answers = await Promise.all(
      [...reports].map(async ([id, { address }]): Promise<[string, readonly Reply[]]> => {
        return [id, (await this.#asked.get(formatAddress(address))) ?? []];
      }),
    );
    return readSetups(new Map(answers));
  }
}

/** Reads the replies of nodes, by id. */
export async function readSetups(
  answers: ReadonlyMap<string, readonly Reply[]>,
): Promise<Map<string, NodeSetup>> {
  const credentials = await readCredentials([...answers.values()].map(repliesOnCredentials));
  return new Map(
    [...answers].map(([id, replies], index): [string, NodeSetup] => [
      id,
      { ...credentials[index], ...readOthers(id, replies) },
    ]),
  );
}

const [FIRST, END] = [PATTERNS.length, PATTERNS.length + CREDENTIAL_QUESTIONS.length];

function repliesOnCredentials(replies: readonly Reply[]): readonly Reply[] {
  return replies.slice(FIRST, END);
}

function readOthers(id: string, replies: readonly Reply[]): NodeSetup {
  const settings = pairsIn(PATTERNS.map((_, index) => replies[index]));
  const [functions, shardId] = replies.slice(END);
  const libraries = librariesIn(functions, id);
  return {
    ...(settings ? { settings } : {}),
    ...(libraries ? { libraries } : {}),
    ...(typeof shardId === 'string' && ID.test(shardId) ? { shardId } : {}),
  };
}

// A reply that cannot be read costs the comparison, too.
function librariesIn(reply: Reply | undefined, id: string): Libraries | undefined {
  try {
    return readLibraries(reply ?? null, id, true);
  } catch {
    return undefined;
  }
}
