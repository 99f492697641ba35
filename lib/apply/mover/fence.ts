import type { Connection } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { formatAddress, parseAddress } from '../../model/address.ts';
import type { Link } from './link.ts';

/** One line of CLIENT LIST, as far as a fence goes by it. */
interface Client {
  readonly id: string;
  readonly host: string;
  readonly name: string;
  /** Its last command. */
  readonly command: string;
}

const ROUNDS = 100;

/**
 * Makes sure that no RESTORE of an earlier MIGRATE is still to run on the target, by ending the connections that brought it:
 * a target that was frozen would run it late, over newer values where it came with REPLACE, and bring back deleted keys.
 *
 * A server accepts connections in the order they came in, so when a new one has had its answer, those of earlier MIGRATEs
 * are in CLIENT LIST. Rejects with ReplyError where the node does not allow CLIENT LIST or CLIENT KILL.
 */
export async function fenceTarget({ context, targetAddress, ...link }: Link): Promise<void> {
  const { address } = link.targetReport.records.find(({ id }) => id === link.source.id) ?? {};
  const connection = await context.connections.fresh(targetAddress);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const clients = parseClients(String(await connection.command(['CLIENT', 'LIST'])));
      const hosts = new Set([address?.host, ...clients.filter(isRestoring).map(({ host }) => host)]);
      const found = clients.filter(
        (client) => isRestoring(client) || (isNew(client) && hosts.has(client.host)),
      );
      if (found.length === 0) return;
      await kill(connection, found);
    }
    throw new ClusterError(
      'MIGRATE_FAILED',
      `Connections of MIGRATE keep coming to ${formatAddress(targetAddress)}`,
    );
  } finally {
    await connection.close();
  }
}

async function kill(connection: Connection, clients: readonly Client[]): Promise<void> {
  // One that has ended by itself meanwhile is an error as well as a success.
  for (const reply of await connection.pipeline(clients.map(({ id }) => ['CLIENT', 'KILL', 'ID', id]))) {
    if (reply instanceof Error && !reply.message.includes('No such client')) throw reply;
  }
}

// Redis sends RESTORE-ASKING; it may say AUTH and SELECT before.
function isRestoring({ command }: Client): boolean {
  return command === 'restore-asking';
}

function isNew({ command, name }: Client): boolean {
  return name === '' && ['NULL', 'auth', 'select'].includes(command);
}

/** Reads the reply of CLIENT LIST. */
export function parseClients(text: string): Client[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('id='))
    .map((line) => {
      const field = (name: string): string => new RegExp(`(?:^| )${name}=(\\S*)`).exec(line)?.[1] ?? '';
      const addr = field('addr');
      return {
        id: field('id'),
        host: addr.includes(':') ? hostOf(addr) : addr,
        name: field('name'),
        command: field('cmd').toLowerCase(),
      };
    })
    .map((client) => ({ ...client, command: client.command === 'null' ? 'NULL' : client.command }));
}

// A Unix socket has a path there, and a port that is none.
function hostOf(addr: string): string {
  try {
    return parseAddress(addr).host;
  } catch {
    return addr;
  }
}
