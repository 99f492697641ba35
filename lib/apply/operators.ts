import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { NodeRef } from '../plan/plan.ts';
import { CHANGE_PREFIX } from './connections.ts';
import { type Context, nodeError } from './context.ts';
import { inParallel } from './parallel.ts';

/** The connections of a run that was killed are gone as soon as the server gets to it. */
const PATIENCE_MS = 2000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

/** A connection whose name says that another operator changes the cluster. */
export interface Operator {
  readonly name: string;
  /** Where it comes from, as the node sees it. */
  readonly from: string;
  /** Seconds it has been connected. */
  readonly ageSeconds: number;
  /** The node it is connected to. */
  readonly node: string;
}

/**
 * Says to these nodes that this operation changes the cluster, by the name of its connections, until it ends; and rejects
 * with ClusterError `OTHER_OPERATOR` where another says so too. Nothing is stored: a name is gone with its connection.
 *
 * An operation goes on only after it has seen nobody while its own name stood on every node. So of two that go on at the
 * same time one would have looked after the other had named itself, and seen it. Where two see each other, the one
 * whose name is greater takes its own back, and the other waits for that: so one of them gets through.
 */
export async function claim(context: Context, nodes: readonly NodeRef[]): Promise<void> {
  const { connections } = context;
  const fresh = nodes.filter(({ address }) => !connections.isClaimed(context, address));
  if (fresh.length === 0) return;
  const deadline = performance.now() + PATIENCE_MS;
  let pause = FIRST_PAUSE_MS;
  const warned = new Set<string>();
  await announce(context, fresh, warned);
  for (;;) {
    context.signal?.throwIfAborted();
    const [other, ...more] = await findOthers(context, fresh, warned);
    if (!other) {
      if (connections.isClaimed(context)) return;
      await announce(context, fresh, warned);
      continue;
    }
    if (context.options.force) {
      context.emit({
        type: 'warning',
        node: other.node,
        message: `${describe(other)}; going on all the same`,
      });
      if (!connections.isClaimed(context)) await announce(context, fresh, warned);
      return;
    }
    if (performance.now() >= deadline) throw otherOperator(other);
    const isLeast = [other, ...more].every(({ name }) => connections.changeName < name);
    if (!isLeast) await connections.withdraw(context);
    await sleep(pause);
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
}

async function announce(context: Context, nodes: readonly NodeRef[], warned: Set<string>): Promise<void> {
  const addresses = nodes.map(({ address }) => parseAddress(address));
  const refused = await context.connections.announce(context, addresses, context.signal);
  if (refused) warn(context, 'Cannot tell other operators of this one', refused, warned);
}

async function findOthers(
  context: Context,
  nodes: readonly NodeRef[],
  warned: Set<string>,
): Promise<Operator[]> {
  const { connections } = context;
  const found = await inParallel(nodes, async ({ address }): Promise<Operator[]> => {
    try {
      const command = ['CLIENT', 'LIST', 'TYPE', 'normal'];
      const reply = await connections.ask(parseAddress(address), command, { signal: context.signal });
      return readOperators(reply, address).filter(({ name }) => name !== connections.changeName);
    } catch (error) {
      // A node that cannot be asked cannot be changed either.
      if (error instanceof ConnectionError) return [];
      if (!(error instanceof ReplyError)) throw error;
      warn(context, 'Cannot see whether another operator is at work', error, warned);
      return [];
    }
  });
  return found.flat();
}

// Once: what one node does not allow, none of them will.
function warn(context: Context, what: string, error: ReplyError, warned: Set<string>): void {
  if (warned.has(what)) return;
  warned.add(what);
  const node = error.address;
  const message = `${what}: ${node} answers: ${messageOf(error)}`;
  context.emit({ type: 'warning', message, ...(node === undefined ? {} : { node }) });
}

/** Reads the reply of CLIENT LIST: the connections that change the cluster. */
export function readOperators(reply: Reply, node: string): Operator[] {
  return String(reply)
    .split('\n')
    .flatMap((line) => {
      const field = (name: string): string => new RegExp(`(?:^| )${name}=(\\S*)`).exec(line)?.[1] ?? '';
      const name = field('name');
      if (!name.startsWith(CHANGE_PREFIX)) return [];
      return [{ name, from: field('addr'), ageSeconds: Number(field('age')), node }];
    });
}

function describe({ from, node, ageSeconds }: Operator): string {
  return `Another operator is changing the cluster: ${from} has been connected to ${node} for ${ageSeconds} s`;
}

function otherOperator(other: Operator): Error {
  return nodeError('OTHER_OPERATOR', other.node, describe(other), {
    hint: 'Nothing was changed. Wait until the other is done; if there is none any more, go on with --force',
  });
}
