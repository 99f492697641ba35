import { ClusterError } from '../../../errors.ts';
import type { ClusterEvent } from '../../../events.ts';
import type { NodeRecord } from '../../../model/node.ts';
import { type CountedMove, rebalanceLikeRedisCli } from '../../../plan/redis-cli-moves.ts';
import { UsageError } from '../../io.ts';
import { type CompatArguments, nodeIn, textOf } from '../arguments.ts';
import { mastersInOrder, nameOf, nodesInOrder } from '../lines.ts';
import { atof } from '../numbers.ts';
import { examine, operation, requireSane, type Scene, say, sayError, withCluster } from '../scene.ts';
import type { Words } from '../words.ts';

export function runRebalance(scene: Scene): Promise<boolean> {
  const { read } = scene;
  const threshold = thresholdOf(read);
  const given = weightsOf(read);
  const useEmpty = read.values['use-empty-masters'] === true;
  return withCluster(scene, read.words, async (cluster) => {
    if (given.length > 0) {
      const { result, words } = await examine(scene, cluster);
      for (const [name] of given) find(scene, nodesInOrder(result.view), name, words);
    }
    const { result, words } = await requireSane(scene, cluster, 'rebalancing');
    const masters = mastersInOrder(result.view);
    const weights = new Map<string, number>();
    for (const [name, weight] of given) {
      const node = find(scene, nodesInOrder(result.view), name, words);
      weights.set(node.id, weight);
      // A master that gave its last slot away may have become a replica.
      if (node.role === 'replica')
        say(scene, `[WARNING] ${nameOf(node)} is a replica: its weight is ignored`);
    }
    const plan = rebalanceLikeRedisCli(masters, weights, threshold, useEmpty);
    if (!plan.isNeeded) {
      const within = `All nodes are within the ${threshold.toFixed(2)}% threshold.`;
      say(scene, `*** No rebalancing needed! ${within}`);
      return true;
    }
    say(scene, `>>> Rebalancing across ${plan.nodes} nodes. Total weight = ${plan.totalWeight.toFixed(2)}`);
    const bars = new Bars(scene, plan.moves);
    if (read.values.simulate) {
      bars.end(true);
      return true;
    }
    const moves = plan.moves.map(({ source, target, slots }) => ({
      sourceId: source.id,
      targetId: target.id,
      slots,
    }));
    const { movePlanned } = await import('../../../operations/move-planned.ts');
    let isDone = false;
    try {
      await movePlanned(cluster, 'rebalance', moves, operation(scene, bars.onEvent));
      isDone = true;
    } finally {
      bars.end(isDone);
    }
    return true;
  });
}

/** Shows a line per move and a `#` per slot, in the order of the plan, although moves run in parallel. */
class Bars {
  readonly #scene: Scene;
  readonly #left: { readonly move: CountedMove; readonly open: Set<number> }[];

  constructor(scene: Scene, moves: readonly CountedMove[]) {
    this.#scene = scene;
    this.#left = moves.map((move) => ({ move, open: new Set(move.slots) }));
  }

  readonly onEvent = (event: ClusterEvent): void => {
    if (event.type !== 'slots-closed') return;
    for (const { open } of this.#left) for (const slot of event.slots) open.delete(slot);
    while (this.#left[0]?.open.size === 0) this.#show(false);
  };

  /** Shows the rest of the moves, as done if they are. */
  end(isDone: boolean): void {
    while (this.#left.length > 0) this.#show(isDone);
  }

  #show(isDone: boolean): void {
    const [first] = this.#left.splice(0, 1);
    if (!first) return;
    const { source, target, slots } = first.move;
    say(
      this.#scene,
      `Moving ${slots.length} slots from ${nameOf(source)} to ${nameOf(target)}`,
      '#'.repeat(isDone ? slots.length : slots.length - first.open.size),
    );
  }
}

function thresholdOf(read: CompatArguments): number {
  const text = textOf(read, 'threshold') ?? '2';
  const value = atof(text);
  if (Number.isFinite(value)) return value;
  throw new UsageError(`Not a number for --cluster-threshold: "${text}"`);
}

// redis-cli plans nonsense with a weight below 0.
function weightsOf(read: CompatArguments): [string, number][] {
  const pairs = read.values.weight;
  return (Array.isArray(pairs) ? pairs : []).map((pair) => {
    const at = String(pair).indexOf('=');
    const [name, weight] = [pair.slice(0, at), atof(pair.slice(at + 1))];
    if (name === '' || !Number.isFinite(weight) || weight < 0)
      throw new UsageError(`Not a weight: "${pair}" (expected NODE=WEIGHT, WEIGHT a number from 0 up)`);
    return [name, weight];
  });
}

function find(scene: Scene, nodes: readonly NodeRecord[], name: string, words: Words): NodeRecord {
  const named = nodes.filter(({ id }) => id.startsWith(name.toLowerCase()));
  const masters = named.filter(({ role }) => role === 'master');
  const found = masters.length > 0 ? masters : named;
  const [first, second] = found;
  if (first && !second) return first;
  const error = first
    ? new ClusterError('AMBIGUOUS_NODE', `"${name}" begins the ids of ${found.length} nodes`, {
        hint: 'Nothing was changed. Write more of the id',
      })
    : new ClusterError('NOT_SAME_CLUSTER', `No node has an id that begins with "${name}"`, {
        hint: 'Nothing was changed',
        next: [{ do: 'check', cluster: nodeIn(scene.read.words) }],
      });
  sayError(scene, `*** No such ${words.master} node ${name}`, error);
}
