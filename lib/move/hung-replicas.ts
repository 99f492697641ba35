import { ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { type ConnectedReplica, entryOf } from '../model/details.ts';
import { type Client, parseClientList } from '../nodes/client-list.ts';
import type { Context } from '../nodes/context.ts';
import { replicasIn } from '../nodes/inspect.ts';
import { askNode } from '../nodes/look.ts';
import { askInfo } from '../nodes/node-info.ts';
import { waitUntil } from '../nodes/wait-until.ts';

/** A replica acknowledges what it has every second (replicationCron). */
const [ACKNOWLEDGED_WITHIN_S, PAUSE_MS] = [2, 2000];

/**
 * Ends the links of replicas that hang: a master that has refused SETSLOT for want of their answer no longer waits for them, and one that
 * is reset does not pass that on to them. Two views must agree: the master has heard nothing for two seconds, and the members hold the replica for failed. Resolves to true
 * if a link was ended, which a warning reports. The master would do the same after its `repl-timeout`. A replica that answers again
 * connects again, as one that was started again. The slots that it has open stay open: its master does not keep SETSLOT for it.
 */
export async function endHungLinks(
  context: Context,
  address: Address,
  message: (names: string, master: string) => string = keptFromSlots,
): Promise<boolean> {
  const { connections, emit, account } = context;
  try {
    const { linked, hung } = await hungReplicas(context, address);
    if (hung.length === 0) return false;
    const list = async (): Promise<Client[]> =>
      parseClientList(String(await connections.ask(address, ['CLIENT', 'LIST', 'TYPE', 'replica'])));
    const before = await list();
    const areAll = before.length === hung.length && linked === hung.length;
    const links = areAll ? before : silentLinks(hung.length, before, await listLater(context, list));
    const ended = await connections.askAll(
      address,
      links.map(({ id }) => ['CLIENT', 'KILL', 'ID', id]),
    );
    if (!ended.some(isDone)) return false;
    for (const { id } of hung) account.hung.add(id);
    const names = hung.map(({ entry }) => formatAddress(entry)).join(', ');
    const master = formatAddress(address);
    emit({ type: 'warning', node: master, message: message(names, master) });
    return true;
  } catch (error) {
    if (error instanceof ReplyError || error instanceof ConnectionError) return false;
    throw error;
  }
}

function keptFromSlots(names: string, master: string): string {
  return `${names} hangs, and kept its master ${master} from changing slots. Its link was ended. What it has open itself can be closed once it answers`;
}

/** How many replicas a master has a link to, and which of them hang. */
async function hungReplicas(
  { connections, signal }: Context,
  address: Address,
): Promise<{ linked: number; hung: { readonly id: string; readonly entry: ConnectedReplica }[] }> {
  const [{ myself, records }, info] = await Promise.all([
    askNode(connections, address, signal),
    askInfo(connections, address, ['replication']),
  ]);
  const failed = records.filter(({ masterId, flags }) => masterId === myself.id && flags.includes('fail'));
  const linked = replicasIn(info);
  const hung = failed.flatMap(({ id, address: at }) => {
    const entry = entryOf(linked, at);
    return entry && entry.lagSeconds >= ACKNOWLEDGED_WITHIN_S ? [{ id, entry }] : [];
  });
  return { linked: linked.length, hung };
}

/** The links, from two looks at them, from which nothing came; none if these are more than the replicas that hang. */
export function silentLinks(
  hung: number,
  before: readonly Client[],
  now: readonly Client[],
): readonly Client[] {
  const receivedBefore = new Map(before.map(({ id, received }) => [id, received]));
  const silent = now.filter(
    ({ id, received }) => received !== undefined && received === receivedBefore.get(id),
  );
  // CLIENT LIST does not say which replica is at the other end.
  return silent.length > hung ? [] : silent;
}

async function listLater({ signal }: Context, list: () => Promise<Client[]>): Promise<Client[]> {
  let looks = 0;
  const wait = { what: 'replicas to acknowledge', pauseMs: PAUSE_MS, signal };
  return waitUntil(wait, async () => (++looks === 1 ? { missing: [] } : { done: await list() }));
}

function isDone(reply: Reply): boolean {
  return !(reply instanceof ReplyError);
}
