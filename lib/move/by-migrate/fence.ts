import type { Connection } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { formatAddress } from '../../model/address.ts';
import { type Client, parseClientList } from '../../nodes/client-list.ts';
import type { Ends } from '../ends.ts';

const ROUNDS = 100;

/**
 * Makes sure that no RESTORE of an earlier MIGRATE will still run on the target, by ending the connections that brought it. A
 * target that was frozen would run it late: with REPLACE it would overwrite newer values, and it would bring back deleted keys.
 *
 * A server accepts connections in the order in which they arrive. So once a new one has an answer, those of earlier MIGRATEs are
 * in CLIENT LIST. Rejects with ReplyError if the node does not allow CLIENT LIST or CLIENT KILL.
 * Rules 4, 8 and 21 (docs/moving-slots.md).
 */
export async function fenceTarget({ context, targetAddress, ...ends }: Ends): Promise<void> {
  const { address } = ends.targetReport.records.find(({ id }) => id === ends.source.id) ?? {};
  const connection = await context.connections.fresh(targetAddress);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const clients = parseClientList(String(await connection.command(['CLIENT', 'LIST'])));
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
  // A connection that has ended on its own since makes this an error, and is as good as killed.
  for (const reply of await connection.pipeline(clients.map(({ id }) => ['CLIENT', 'KILL', 'ID', id]))) {
    if (reply instanceof Error && !reply.message.includes('No such client')) throw reply;
  }
}

// Redis sends RESTORE-ASKING, and may send AUTH and SELECT before it.
function isRestoring({ command }: Client): boolean {
  return command === 'restore-asking';
}

function isNew({ command, name }: Client): boolean {
  return name === '' && ['NULL', 'auth', 'select'].includes(command);
}
