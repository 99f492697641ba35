import { ConnectionError, ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { parseClientList } from '../nodes/client-list.ts';
import { CHANGE_PREFIX } from '../nodes/connections.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import { DONE, growingPause, type Wait, waitUntil } from '../nodes/wait-until.ts';
import type { NodeRef } from '../plan/plan.ts';

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

/** A connection whose name says that another operator changes the cluster. */
export interface Operator {
  readonly name: string;
  /** Where it comes from, as the node sees it. */
  readonly from: string;
  /** Seconds since it connected. */
  readonly ageSeconds: number;
  /** The node that it is connected to. */
  readonly node: string;
}

/**
 * Announces to these nodes, by the name of its connections, that this operation changes the cluster, until it ends. Rejects with
 * ClusterError `OTHER_OPERATOR` if another operation announces the same. Nothing is stored: a name disappears with its
 * connection.
 *
 * An operation continues only after it has seen no other while its own name stood on every node. If two continued at the same
 * time, one of them would have looked after the other had announced itself, and seen it. If two see each other, the one with the
 * greater name withdraws it, and the other waits for that: so one of them gets through.
 * An operation that has claimed nodes before, and adds others, keeps its name: it has looked already.
 *
 * Resolves to false if all nodes were claimed before.
 */
export async function claim(context: Context, nodes: readonly Pick<NodeRef, 'address'>[]): Promise<boolean> {
  const { connections } = context;
  const fresh = nodes.filter(({ address }) => !connections.isClaimed(context, address));
  if (fresh.length === 0) return false;
  const isFirst = !connections.isClaimed(context);
  const wait: Wait = {
    what: 'another operator to finish',
    timeoutMs: context.settings.wait,
    pauseMs: growingPause(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, 2),
    signal: context.signal,
    emit: context.emit,
  };
  let isToAnnounce = true;
  await waitUntil(wait, async () => {
    if (isToAnnounce) await announce(context, fresh);
    isToAnnounce = false;
    const [other, ...more] = await findOthers(context, fresh);
    if (!other) {
      if (connections.isClaimed(context)) return DONE;
      isToAnnounce = true;
      return 'again';
    }
    if (context.settings.force) {
      context.emit({
        type: 'warning',
        node: other.node,
        message: `${describe(other)}; continuing anyway`,
      });
      if (!connections.isClaimed(context)) await announce(context, fresh);
      return DONE;
    }
    const isLeast = [other, ...more].every(({ name }) => connections.changeName < name);
    return {
      missing: [describe(other)],
      giveUp: () => otherOperator(other),
      nudge: () => (isLeast || !isFirst ? undefined : connections.withdraw(context)),
    };
  });
  return true;
}

async function announce(context: Context, nodes: readonly Pick<NodeRef, 'address'>[]): Promise<void> {
  const addresses = nodes.map(({ address }) => parseAddress(address));
  const refused = await context.connections.announce(context, addresses, context.signal);
  if (refused) warn(context, 'Cannot announce this operation to other operators', refused);
}

async function findOthers(context: Context, nodes: readonly Pick<NodeRef, 'address'>[]): Promise<Operator[]> {
  const { connections } = context;
  const found = await inParallel(nodes, async ({ address }): Promise<Operator[]> => {
    try {
      const command = ['CLIENT', 'LIST', 'TYPE', 'normal'];
      const reply = await connections.ask(parseAddress(address), command, { signal: context.signal });
      return operatorsIn(String(reply), address).filter(({ name }) => name !== connections.changeName);
    } catch (error) {
      // A node that cannot be asked cannot be changed either.
      if (error instanceof ConnectionError) return [];
      if (!(error instanceof ReplyError)) throw error;
      warn(context, 'Cannot see whether another operator is active', error);
      return [];
    }
  });
  return found.flat();
}

// Once: what one node refuses, the others refuse too.
function warn(context: Context, what: string, error: ReplyError): void {
  const { warned } = context.account;
  if (warned.has(what)) return;
  warned.add(what);
  const node = error.address;
  const message = `${what}: ${node} replied: ${messageOf(error)}`;
  context.emit({ type: 'warning', message, ...(node === undefined ? {} : { node }) });
}

/** The connections in a reply of CLIENT LIST that change the cluster. */
export function operatorsIn(list: string, node: string): Operator[] {
  return parseClientList(list)
    .filter(({ name }) => name.startsWith(CHANGE_PREFIX))
    .map(({ name, from, ageSeconds }) => ({ name, from, ageSeconds, node }));
}

function describe({ from, node, ageSeconds }: Operator): string {
  return `Another operator is changing the cluster: ${from} has been connected to ${node} for ${ageSeconds} s`;
}

function otherOperator(other: Operator): Error {
  return nodeError('OTHER_OPERATOR', other.node, describe(other), {
    hint: 'Nothing was changed',
    next: [
      { do: 'wait', when: 'other-operator-done' },
      { do: 'retry', options: { force: true }, when: 'no-other-operator' },
    ],
  });
}
