import { ask, eventually } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { becomes, idOfNode, recordsOf } from './clusters.ts';

/**
 * Lets one replica of a master take its place while another is down, which then follows its former master, a replica by now. Redis 7.0 and
 * Valkey end that within seconds.
 */
export async function chain(former: ServerNode, taking: ServerNode, left: ServerNode): Promise<void> {
  await left.kill();
  await ask(taking, 'CLUSTER', 'FAILOVER', 'TAKEOVER');
  await becomes(former, 'replica');
  // It hears of the new role of the former master before it hears who has the slots (see `followUp()`).
  await taking.freeze();
  await left.restart();
  await eventually('it has heard', async () =>
    (await recordsOf(left)).some(
      ({ address, flags }) => address.port === former.port && flags.includes('slave'),
    ),
  );
  await taking.thaw();
}

/** True if a node says that it follows another. */
export async function follows(node: ServerNode, master: ServerNode): Promise<boolean> {
  const id = await idOfNode(master);
  return (await recordsOf(node)).some(({ flags, masterId }) => flags.includes('myself') && masterId === id);
}
