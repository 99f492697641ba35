import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, parseAddress } from '../model/address.ts';
import { parseClusterInfo } from '../model/view.ts';
import type { NodeRef } from '../plan/plan.ts';
import { agreeTimeout, type Context, nodeError } from './context.ts';
import { inParallel } from './parallel.ts';

const PAUSE_MS = 20;

/**
 * Waits until a node has heard of the current epoch of others. It then takes slots with a config epoch above theirs: with one
 * below, a packet that a former owner sent before it gave a slot away would take the slot back when it arrives late, and
 * the server would delete its keys (clusterUpdateSlotsConfigWith).
 * A node hears of the current epoch with any packet but those of the handshake.
 */
export async function hearOfEpoch(
  context: Context,
  node: NodeRef,
  others: readonly NodeRef[],
): Promise<void> {
  const started = performance.now();
  const epochs = inParallel(others, ({ address }) => currentEpoch(context, parseAddress(address)));
  const address = parseAddress(node.address);
  const [first, epoch] = await Promise.all([
    currentEpoch(context, address),
    epochs.then((all) => Math.max(0, ...all)),
  ]);
  for (let heard = first; heard < epoch; heard = await currentEpoch(context, address)) {
    if (performance.now() - started > agreeTimeout(context)) {
      throw nodeError('NOT_REACHED', address, `${node.address} does not hear of the current epoch ${epoch}`, {
        hint: 'The nodes must reach one another on the cluster bus port; then run the same command again',
        resumable: true,
      });
    }
    await sleep(PAUSE_MS);
  }
}

async function currentEpoch({ connections }: Context, address: Address): Promise<number> {
  return parseClusterInfo(String(await connections.ask(address, ['CLUSTER', 'INFO']))).currentEpoch;
}
