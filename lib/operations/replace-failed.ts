import { ClusterError, ConnectionError, isAbort, messageOf, ReplyError, retold } from '../errors.ts';
import { formatAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import type { Context } from '../nodes/context.ts';
import { addressIn } from '../nodes/named-masters.ts';
import type { Plan, Step } from '../plan/plan.ts';
import type { Pair } from './replace-pairs.ts';

/** The addresses of a node that leaves and of the server that takes its place. */
interface Names {
  readonly old: string;
  readonly by: string;
}

/**
 * The error of a replacement that stopped: it names both nodes, what was being done, what is done and what is left. Errors that were
 * found before anything was changed say enough, except that a server could not be reached.
 */
export function replaceFailed(context: Context, pairs: readonly Pair[], error: unknown): unknown {
  const { signal, account } = context;
  const isLink = error instanceof ConnectionError;
  if (isAbort(error, signal) || !(isLink || error instanceof ReplyError || error instanceof ClusterError))
    return error;
  const { address } = error;
  const all = pairs.map((pair) => namesOf(pair, context));
  const named = all.find(({ old, by }) => address === by || address === old);
  const plan = account.plan?.operation === 'replace' ? account.plan : undefined;
  if (!plan) {
    if (!isLink || !named) return error;
    const details = { address, cause: error, next: waysOn(context, named, address) };
    return new ClusterError('NODE_UNREACHABLE', failing(named, messageOf(error)), details);
  }
  const step = plan.steps.find((one) => account.begun.has(one) && !account.done.has(one));
  const names = named ?? all.find((one) => step && concerns(step, one)) ?? all[0];
  if (!names) return error;
  const [what, state] = [step && wordsOf(step), stateOf(plan, account.done, names)];
  const message = failing(names, messageOf(error), what);
  if (error instanceof ClusterError) {
    const hint = [error.hint, state].filter((text) => text).join('. ');
    return retold(error, { hint, cause: error }, message);
  }
  return new ClusterError(isLink ? 'NODE_UNREACHABLE' : 'COMMAND_REFUSED', message, {
    ...{ address, cause: error, hint: state, resumable: 'same-call' },
    ...(isLink ? { next: waysOn(context, names, address) } : {}),
  });
}

function namesOf({ node, by }: Pair, { account }: Context): Names {
  const known = addressIn(node);
  const record = account.view?.nodes.find(({ id }) => id.startsWith(node.toLowerCase()));
  return {
    old: known ? formatAddress(known) : record ? formatAddress(record.address) : node,
    by: formatAddress(by),
  };
}

function failing({ old, by }: Names, why: string, what?: string): string {
  return `Cannot replace ${old} by ${by}${what === undefined ? '' : ` (${what})`}: ${why}`;
}

/** What continues it if a node cannot be reached. A server that copies and is gone for good is taken out, and another named. */
function waysOn({ account }: Context, { by }: Names, address: string | undefined): Next[] {
  if (address === undefined) return [{ do: 'retry', when: 'repaired' }];
  const { view, plan, done } = account;
  const isMaster = [...done].some((step) => step.type === 'failover' && step.replica.address === by);
  const introduced = plan?.steps.flatMap((step) =>
    step.type === 'meet' && done.has(step) ? step.nodes : [],
  );
  const isAt = (one: NodeRecord): boolean => formatAddress(one.address) === by;
  const id = introduced?.find((one) => one.address === by)?.id ?? view?.nodes.find(isAt)?.id;
  const ways: Next[] = [
    { do: 'start-node', node: address },
    { do: 'retry', node: address, when: 'answers' },
  ];
  if (address === by && id !== undefined && view && !isMaster)
    ways.push({ do: 'del-node', cluster: formatAddress(view.seed), node: id, when: 'gone-for-good' });
  return ways;
}

/** What of the plan is done for this pair, and what is left. */
function stateOf({ steps }: Plan, done: ReadonlySet<Step>, names: Names): string {
  const own = steps.filter((step) => concerns(step, names));
  const list = (isDone: boolean): string =>
    own
      .filter((step) => done.has(step) === isDone)
      .map(wordsOf)
      .join(', ') || 'nothing';
  return `Done: ${list(true)}. Left: ${list(false)}`;
}

function concerns(step: Step, { old, by }: Names): boolean {
  return nodesIn(step).some((address) => address === old || address === by);
}

function nodesIn(step: Step): readonly string[] {
  switch (step.type) {
    case 'meet':
      return step.nodes.map(({ address }) => address);
    case 'load-functions':
    case 'forget':
    case 'reset':
      return [step.node.address];
    case 'replicate':
      return [step.replica.address, step.master.address];
    case 'failover':
      return [step.replica.address];
    default:
      return [];
  }
}

/** A step as a thing that is done or left. */
function wordsOf(step: Step): string {
  switch (step.type) {
    case 'meet':
      return `introduction of ${step.nodes.map(({ address }) => address).join(', ')}`;
    case 'load-functions':
      return `functions for ${step.node.address}`;
    case 'replicate':
      return `copy of ${step.master.address} to ${step.replica.address}`;
    case 'failover':
      return `failover from ${step.master.address} to ${step.replica.address}`;
    case 'forget':
      return `removal of ${step.node.address}`;
    case 'reset':
      return `reset of ${step.node.address}`;
    default:
      return step.type;
  }
}
