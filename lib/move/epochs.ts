import type { ClusterErrorDetails } from '../errors.ts';
import { type Address, parseAddress } from '../model/address.ts';
import { parseClusterInfo } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import { DONE, type Wait, waitUntil } from '../nodes/wait-until.ts';
import type { NodeRef } from '../plan/plan.ts';

const PAUSE_MS = 20;
/** What to do if packets do not get from one node to another. */
export const CUT_OFF: ClusterErrorDetails = {
  hint: 'The nodes must reach one another on the cluster bus port',
  next: [{ do: 'retry', when: 'repaired' }],
  resumable: 'same-call',
};

/**
 * Waits until a node knows the current epoch of others. It then takes slots with a config epoch above theirs. With a lower one, a
 * late packet that a former owner sent before it gave a slot away would take the slot back, and the server would delete its keys
 * (clusterUpdateSlotsConfigWith).
 * Every packet except those of the handshake carries the current epoch. Rules 6 and 12 (docs/moving-slots.md).
 */
export async function hearOfEpoch(
  context: Context,
  node: NodeRef,
  others: readonly NodeRef[],
): Promise<void> {
  const address = parseAddress(node.address);
  const wait: Wait = {
    what: `${node.address} to learn the current epoch`,
    timeoutMs: context.settings.agreeTimeout,
    pauseMs: PAUSE_MS,
    signal: context.signal,
  };
  let asking: Promise<number[]> | undefined;
  await waitUntil(wait, async () => {
    asking ??= inParallel(others, (other) => currentEpoch(context, parseAddress(other.address)));
    const [heard, epochs] = await Promise.all([currentEpoch(context, address), asking]);
    const epoch = Math.max(0, ...epochs);
    if (heard >= epoch) return DONE;
    const message = `${node.address} does not learn the current epoch ${epoch}`;
    return { missing: [message], giveUp: () => nodeError('NOT_REACHED', address, message, CUT_OFF) };
  });
}

async function currentEpoch({ connections, signal }: Context, address: Address): Promise<number> {
  return parseClusterInfo(String(await connections.ask(address, ['CLUSTER', 'INFO'], { signal })))
    .currentEpoch;
}

/** Two nodes with the same config epoch resolve that with the next packet between them, in a second or two. */
const OTHERS_SETTLE_MS = 5000;

/**
 * Waits until a source shares its config epoch with no other master. Of two masters with the same one, one takes the next on its
 * own as soon as it hears of the other (clusterHandleConfigEpochCollision). Suppose the source did so after the target was given
 * its slots and before the source was told. The source would claim the slots again with an epoch above the target's: the target
 * would give them back and delete their keys. Then the source would give them away, and they would have no owner.
 * Masters that do not answer are ignored. A master other than the target that keeps the same epoch is waited for up to five
 * seconds. Rejects with ClusterError `NOT_REACHED` if the target keeps it. Rule 12 (docs/moving-slots.md).
 */
export async function settleEpochs(
  context: Context,
  source: NodeRef,
  target: NodeRef,
  others: readonly NodeRef[],
): Promise<void> {
  const started = performance.now();
  const wait = {
    what: 'config epochs to differ',
    timeoutMs: context.settings.agreeTimeout,
    pauseMs: PAUSE_MS,
  };
  await waitUntil(wait, async () => {
    const [own, ofTarget, ...rest] = await inParallel([source, target, ...others], ({ address, id }) =>
      configEpoch(context, address).catch((error: unknown) => {
        if (id === source.id || id === target.id) throw error;
        return undefined;
      }),
    );
    const isShared = ofTarget === own;
    const isOver = performance.now() - started > OTHERS_SETTLE_MS;
    if (!isShared && (isOver || !rest.includes(own))) return DONE;
    const message = `${source.address} and ${target.address} still have the same config epoch ${own}`;
    return { missing: [message], giveUp: () => nodeError('NOT_REACHED', target.address, message, CUT_OFF) };
  });
}

async function configEpoch({ connections }: Context, address: string): Promise<number> {
  const info = String(await connections.ask(parseAddress(address), ['CLUSTER', 'INFO']));
  return Number(/^cluster_my_epoch:(\d+)/m.exec(info)?.[1] ?? 0);
}
