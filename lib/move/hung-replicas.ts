import { type Command, ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import type { NodeReport } from '../model/view.ts';
import { type Client, parseClientList } from '../nodes/client-list.ts';
import type { Context } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { waitUntil } from '../nodes/wait-until.ts';

/** A replica acknowledges what it has every second (replicationCron). */
const ACKNOWLEDGED_WITHIN_MS = 2000;
const LIST: Command = ['CLIENT', 'LIST', 'TYPE', 'replica'];

/**
 * Ends the links of replicas that hang, so that their master no longer waits for them. A replica hangs if the members hold it for failed and
 * nothing came from it for two seconds: two views, neither of which is enough. Resolves to true if a link was ended, which a
 * warning reports. The master would do the same after its `repl-timeout`. A replica that answers again connects again, as
 * one that was started again. The slots that it has open stay open: its master does not keep SETSLOT for it.
 */
export async function endHungLinks(context: Context, address: Address): Promise<boolean> {
  const { connections, emit } = context;
  try {
    const report = await askNode(connections, address, context.signal);
    const failed = failedReplicas(report);
    if (failed.length === 0) return false;
    let before: readonly Client[] | undefined;
    const wait = { what: 'replicas to acknowledge', pauseMs: ACKNOWLEDGED_WITHIN_MS, signal: context.signal };
    const hung = await waitUntil(wait, async () => {
      const now = parseClientList(String(await connections.ask(address, LIST)));
      if (before) return { done: hungLinks(report, before, now) };
      before = now;
      return { missing: [] };
    });
    const ended = await connections.askAll(
      address,
      hung.map(({ id }) => ['CLIENT', 'KILL', 'ID', id]),
    );
    if (!ended.some(isDone)) return false;
    const names = failed.map((replica) => formatAddress(replica.address)).join(', ');
    const master = formatAddress(address);
    const message = `${names} hangs, and kept its master ${master} from changing slots. Its link was ended. What it has open itself can be closed once it answers`;
    emit({ type: 'warning', node: master, message });
    return true;
  } catch (error) {
    if (error instanceof ReplyError || error instanceof ConnectionError) return false;
    throw error;
  }
}

/** The links of a master to its replicas that are known, from two looks at them, to lead to one that hangs. */
export function hungLinks(
  report: NodeReport,
  before: readonly Client[],
  now: readonly Client[],
): readonly Client[] {
  const receivedBefore = new Map(before.map(({ id, received }) => [id, received]));
  const silent = now.filter(
    ({ id, received }) => received !== undefined && received === receivedBefore.get(id),
  );
  // CLIENT LIST does not say which replica is at the other end. With more of them, one is not known to have failed.
  return silent.length > failedReplicas(report).length ? [] : silent;
}

function failedReplicas({ myself, records }: NodeReport): NodeRecord[] {
  return records.filter(({ masterId, flags }) => masterId === myself.id && flags.includes('fail'));
}

function isDone(reply: Reply): boolean {
  return !(reply instanceof ReplyError);
}
