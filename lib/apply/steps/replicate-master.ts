import { formatAddress, parseAddress } from '../../model/address.ts';
import type { Next } from '../../model/next.ts';
import type { NodeRecord } from '../../model/node.ts';
import { endOfChain } from '../../model/promotion.ts';
import type { Context } from '../../nodes/context.ts';
import { barElection, liftElectionBar } from '../../nodes/election-bar.ts';
import { type Hindrance, hindranceOf } from '../../nodes/followers.ts';
import { askNode } from '../../nodes/look.ts';
import { mustDo } from '../../nodes/must-do.ts';
import { askInfo, isLinkUp, type NodeInfo, numberOf } from '../../nodes/node-info.ts';
import { asksElsewhere, isNear } from '../../nodes/replication.ts';
import { DONE, growingPause, notReached, type Wait, waitUntil } from '../../nodes/wait-until.ts';
import { type NodeRef, nodeRef, type StepOf } from '../../plan/plan.ts';

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

/** A server tries again every second to reach its master: after so long without a link, it is looked into. */
const LOOK_INTO_AFTER_MS = 3000;

const ONCE_REPAIRED: Next = { do: 'retry', when: 'repaired' };

/**
 * Makes a node a replica, and waits until it has copied its master, unless it has taken the place of that by now. A replica that is one
 * already (`isAgain`) keeps the master that it has by now. A replica that asks for its master at an address that it has left
 * is told again: a Redis that learns the new address by a MEET keeps asking the old one (clusterProcessPacket sets the address without
 * replicationSetMaster). A replica that leaves another master does so only once the one that stays there (`kept`) has copied that, and may
 * take over from the new one only when it has what that has: a child process sends the copy to its end even if the master freezes.
 */
export async function replicateMaster(
  context: Context,
  { replica, master, isAgain, kept }: StepOf<'replicate'>,
): Promise<void> {
  const address = parseAddress(replica.address);
  const { connections, settings, signal, emit } = context;
  const { myself, records } = await askNode(connections, address);
  // By a failover that an earlier run had asked for, and that came after the look.
  if (records.some(({ id, masterId }) => id === master.id && masterId === myself.id)) {
    await liftElectionBar(context, replica);
    return;
  }
  const set = async (to: NodeRef): Promise<void> => {
    const what = `make ${replica.address} a replica of ${to.address}`;
    await mustDo(context, replica, ['CLUSTER', 'REPLICATE', to.id], what);
    emit({ type: 'replica-set', node: replica.address, master: to.address });
  };
  const isToSet = !isAgain && (myself.role !== 'replica' || myself.masterId !== master.id);
  const leaves = isToSet && myself.role === 'replica';
  if (leaves && kept) await awaitKept(context, replica, kept);
  if (leaves) await barElection(context, replica);
  if (isToSet) await set(master);
  // One that was a replica before has had its time.
  let lookAt = isToSet ? LOOK_INTO_AFTER_MS : 0;
  let hindrance: Hindrance | undefined;
  const wait: Wait = {
    what: 'replication',
    timeoutMs: settings.agreeTimeout,
    pauseMs: growingPause(FIRST_PAUSE_MS, LONGEST_PAUSE_MS),
    signal,
    emit,
  };
  const started = performance.now();
  /** The master that it should ask, if it asks elsewhere. */
  const missed = async (info: NodeInfo): Promise<NodeRef | undefined> => {
    const own = await askNode(connections, address, signal);
    const id = isAgain ? own.myself.masterId : master.id;
    const record = own.records.find((one) => one.id === id);
    if (!record) return undefined;
    const to = id === master.id ? master : nodeRef(record);
    return (await asksElsewhere(context, info, record.address, parseAddress(to.address))) ? to : undefined;
  };
  await waitUntil(wait, async () => {
    const info = await askInfo(connections, address, ['replication']);
    if (isAgain && info.get('role') === 'master') return DONE;
    const isCopied = isLinkUp(info) && !(await missed(info));
    if (isCopied && (!leaves || (await isNear(context, info, parseAddress(master.address))))) return DONE;
    const missing = [
      isCopied
        ? `${replica.address} does not have yet what was written to ${master.address} in the meantime`
        : `${replica.address} has not copied ${master.address} yet${hindrance ? `: it ${hindrance.says}` : ''}`,
    ];
    return {
      missing,
      giveUp: (elapsedMs) =>
        notReached(wait.what, elapsedMs, missing, {
          address: replica.address,
          hint: hindrance
            ? 'It is a replica already and continues on its own once that is changed'
            : `It is a replica already and continues on its own. See "INFO replication" on ${replica.address}, and masterauth if the nodes have a password`,
          next: [...(hindrance?.next ?? []), ONCE_REPAIRED],
        }),
      nudge: async () => {
        const elapsedMs = performance.now() - started;
        if (elapsedMs < lookAt) return;
        lookAt = Math.max(LOOK_INTO_AFTER_MS, 2 * elapsedMs);
        const to = await missed(info);
        if (to) await set(to);
        if (numberOf(info, 'master_sync_in_progress') === 0)
          hindrance = await hindranceOf(context, address, parseAddress(master.address));
      },
    };
  });
  // One that a run before this has barred, too. A new replica never was.
  if (leaves || !isToSet) await liftElectionBar(context, replica);
}

/**
 * Waits until a replica that stays has copied the master that another leaves. After a failover, either may follow the former master,
 * which is a replica by then, for good (see `followUp()`). The one that stays is given its master again.
 */
async function awaitKept(context: Context, leaving: NodeRef, kept: NodeRef): Promise<void> {
  const { connections, settings, signal, emit } = context;
  const address = parseAddress(kept.address);
  const wait: Wait = {
    what: `${kept.address} to have what ${leaving.address} has`,
    timeoutMs: settings.agreeTimeout,
    pauseMs: growingPause(FIRST_PAUSE_MS, LONGEST_PAUSE_MS),
    signal,
    emit,
  };
  let tellAt = performance.now() + LOOK_INTO_AFTER_MS;
  await waitUntil(wait, async () => {
    const [own, other, info] = await Promise.all([
      askNode(connections, parseAddress(leaving.address), signal),
      askNode(connections, address, signal),
      askInfo(connections, address, ['replication']),
    ]);
    const master = topIn(own.records, own.myself.masterId);
    const isTheirs = master !== undefined && other.myself.masterId === master.id;
    if (isTheirs && isLinkUp(info) && other.myself.id === kept.id) return DONE;
    const name = master ? formatAddress(master.address) : 'its master';
    const missing = [`${kept.address} has not copied ${name} yet`];
    return {
      missing,
      giveUp: (elapsedMs) =>
        notReached(wait.what, elapsedMs, missing, {
          address: kept.address,
          hint: `${name} would be left without a replica`,
          next: [ONCE_REPAIRED],
        }),
      nudge: async () => {
        if (!master || isTheirs || other.myself.role === 'master' || performance.now() < tellAt) return;
        tellAt = Number.POSITIVE_INFINITY;
        const what = `make ${kept.address} follow ${name}`;
        await mustDo(context, kept, ['CLUSTER', 'REPLICATE', master.id], what);
        emit({ type: 'replica-set', node: kept.address, master: name });
      },
    };
  });
}

/** The master at the end of the chain that begins with this node, as one node sees it. */
function topIn(records: readonly NodeRecord[], id: string | null): NodeRecord | undefined {
  const recordOf = (one: string | null) => records.find((record) => record.id === one);
  const top = endOfChain(id ?? '', (at) => {
    const record = recordOf(at);
    return record?.role === 'master' ? null : (record?.masterId ?? undefined);
  });
  return top === undefined ? undefined : recordOf(top);
}
