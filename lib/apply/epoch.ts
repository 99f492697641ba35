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
    context.signal?.throwIfAborted();
    if (performance.now() - started > agreeTimeout(context)) {
      throw nodeError('NOT_REACHED', address, `${node.address} does not hear of the current epoch ${epoch}`, {
        hint: 'The nodes must reach one another on the cluster bus port; then run the same command again',
        resumable: true,
      });
    }
    await sleep(PAUSE_MS);
  }
}

async function currentEpoch({ connections, signal }: Context, address: Address): Promise<number> {
  return parseClusterInfo(String(await connections.ask(address, ['CLUSTER', 'INFO'], { signal })))
    .currentEpoch;
}

/** Servers settle a config epoch that two of them have with the next packet between them: a second or two. */
const OTHERS_SETTLE_MS = 5000;

/**
 * Waits until a source has its config epoch to itself. Of two masters with the same one, one takes the next by itself as soon as it
 * hears of the other (clusterHandleConfigEpochCollision). Were it the source, just when the target has been told that slots are its
 * own and the source not yet, the source would claim them again with an epoch above the target's: the target would give them back
 * and delete their keys, and then the source would give them away, so that nobody owned them.
 * Masters that give no answer are left out, and one other than the target that does not settle it is not waited for longer than
 * five seconds. Rejects with ClusterError `NOT_REACHED` where the target does not.
 */
export async function settleEpochs(
  context: Context,
  source: NodeRef,
  target: NodeRef,
  others: readonly NodeRef[],
): Promise<void> {
  const started = performance.now();
  for (;;) {
    const [own, ofTarget, ...rest] = await inParallel([source, target, ...others], ({ address, id }) =>
      configEpoch(context, address).catch((error: unknown) => {
        if (id === source.id || id === target.id) throw error;
        return undefined;
      }),
    );
    const isShared = ofTarget === own;
    const elapsedMs = performance.now() - started;
    if (!isShared && (elapsedMs > OTHERS_SETTLE_MS || !rest.includes(own))) return;
    if (elapsedMs > agreeTimeout(context)) {
      throw nodeError(
        'NOT_REACHED',
        target.address,
        `${source.address} and ${target.address} have the same config epoch ${own}, and do not settle it`,
        {
          hint: 'The nodes must reach one another on the cluster bus port; then run the same command again',
          resumable: true,
        },
      );
    }
    await sleep(PAUSE_MS);
  }
}

async function configEpoch({ connections }: Context, address: string): Promise<number> {
  const info = String(await connections.ask(parseAddress(address), ['CLUSTER', 'INFO']));
  return Number(/^cluster_my_epoch:(\d+)/m.exec(info)?.[1] ?? 0);
}
