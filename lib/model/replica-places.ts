import type { NodeRecord } from './node.ts';
import { type ClusterView, hostOf, replicasOf } from './view.ts';

/** A node, and what it shares with others that would fail together with it. */
export interface PlacedNode {
  readonly id: string;
  readonly host: string;
  /** Empty if it is unknown. */
  readonly zone: string;
  /** False of a replica that does not have all that its master has. */
  readonly isReady: boolean;
}

/** A master and its replicas. */
export interface Shard {
  readonly master: PlacedNode;
  readonly replicas: readonly PlacedNode[];
}

/** Masters with slots that answer, with their replicas, each at its place. */
export function shardsIn(
  view: ClusterView,
  zones: ReadonlyMap<string, string>,
  ready: ReadonlySet<string>,
): Shard[] {
  const placed = (node: NodeRecord): PlacedNode => ({
    id: node.id,
    host: hostOf(view, node),
    zone: zones.get(node.id) ?? '',
    isReady: ready.has(node.id),
  });
  return view.nodes
    .filter(({ id, role, slots }) => role === 'master' && slots.length > 0 && view.reports.has(id))
    .map((master) => ({ master: placed(master), replicas: replicasOf(view, master.id).map(placed) }));
}

/** A replica that leaves a shard for another, both given by their indices. */
interface ReplicaMove {
  readonly replica: PlacedNode;
  readonly from: number;
  readonly to: number;
}

/** A shared zone counts more than all shared hosts there can be. */
const ZONE = 1_000_000;

/** What two nodes share: 0 for neither host nor zone, 1 for a host, and `ofZone` for a zone. */
export function sharedPlace(one: PlacedNode, other: PlacedNode, ofZone: number = ZONE): number {
  return (one.zone !== '' && one.zone === other.zone ? ofZone : 0) + (one.host === other.host ? 1 : 0);
}

/** Shards whose replicas change places in thought, one after the other. */
export class ReplicaPlaces {
  readonly #masters: readonly PlacedNode[];
  readonly #replicas: Set<PlacedNode>[];

  constructor(shards: readonly Shard[]) {
    this.#masters = shards.map(({ master }) => master);
    this.#replicas = shards.map(({ replicas }) => new Set(replicas));
  }

  /**
   * Moves replicas away from the hosts and zones of their masters, then from masters with two more than another, until no swap of two
   * and no move of one is left that helps. A master that has a replica that is ready is never left without one, as each copies its
   * new master from the beginning.
   */
  improve(): Shard[] {
    for (let isChanged = true; isChanged; ) {
      isChanged = false;
      for (const [at, replicas] of this.#replicas.entries()) {
        for (const replica of [...replicas]) {
          const found = replicas.has(replica) ? this.#apart(replica, at) : [];
          for (const move of found) this.#carryOut(move);
          isChanged ||= found.length > 0;
        }
      }
      if (this.even().length > 0) isChanged = true;
    }
    return this.#masters.map((master, at) => ({ master, replicas: [...(this.#replicas[at] ?? [])] }));
  }

  /** True if a swap or a move would take this replica of the shard away from its master. */
  canPart(replicaId: string, at: number): boolean {
    const replica = [...(this.#replicas[at] ?? [])].find(({ id }) => id === replicaId);
    return replica !== undefined && this.#apart(replica, at).length > 0;
  }

  /** Moves replicas from masters that have two more than another, and gives the places of both in `shards`, a pair for each move. */
  even(): { readonly from: number; readonly to: number }[] {
    const moves: ReplicaMove[] = [];
    for (let move = this.#evening(); move; move = this.#evening()) {
      this.#carryOut(move);
      moves.push(move);
    }
    return moves;
  }

  #carryOut(move: ReplicaMove): void {
    this.#replicas[move.from]?.delete(move.replica);
    this.#replicas[move.to]?.add(move.replica);
  }

  /** The moves that take a replica away from its master, or nothing. */
  #apart(replica: PlacedNode, from: number): ReplicaMove[] {
    const shared = this.#shared(replica, from);
    if (shared === 0 || !replica.isReady) return [];
    let [best, most, fewest, nearest]: [ReplicaMove[], number, number, number] = [[], 0, 3, 0];
    const offer = (gain: number, near: () => number, of: () => ReplicaMove[]): void => {
      if (gain <= 0 || gain < most) return;
      const moves = of();
      if (moves.length === 0) return;
      const beside = near();
      if (gain === most && (moves.length > fewest || (moves.length === fewest && beside >= nearest))) return;
      [best, most, fewest, nearest] = [moves, gain, moves.length, beside];
    };
    for (const [to, others] of this.#replicas.entries()) {
      if (to === from) continue;
      const there = this.#shared(replica, to);
      if (others.size < this.#count(from))
        offer(
          shared - there,
          () => this.#beside(replica, to),
          () => this.#leave(replica, from, to),
        );
      for (const other of others) {
        if (!other.isReady) continue;
        offer(
          shared + this.#shared(other, to) - there - this.#shared(other, from),
          () => this.#beside(replica, to, other) + this.#beside(other, from, replica),
          () => this.#swap(replica, from, other, to),
        );
      }
    }
    return best;
  }

  // It copies its new master from the beginning, and the former one needs another that has its data.
  #leave(replica: PlacedNode, from: number, to: number): ReplicaMove[] {
    for (const other of this.#replicas[from] ?? [])
      if (other !== replica && other.isReady) return [{ replica, from, to }];
    return [];
  }

  // The first to leave needs another that stays; the second leaves when the first has come.
  #swap(one: PlacedNode, from: number, other: PlacedNode, to: number): ReplicaMove[] {
    const there = { replica: one, from, to };
    const back = { replica: other, from: to, to: from };
    if (this.#leave(one, from, to).length > 0) return [there, back];
    return this.#leave(other, to, from).length > 0 ? [back, there] : [];
  }

  /** A move from a master to one with at least two replicas fewer, that shares no more there than here. */
  #evening(): ReplicaMove | undefined {
    const order = [...this.#replicas.keys()].sort((a, b) => this.#count(b) - this.#count(a) || a - b);
    for (const to of order.toReversed()) {
      for (const from of order) {
        if (this.#count(from) < this.#count(to) + 2) break;
        let [best, least, nearest]: [ReplicaMove | undefined, number, number] = [undefined, 0, 0];
        for (const replica of this.#replicas[from] ?? []) {
          const more = this.#shared(replica, to) - this.#shared(replica, from);
          if (!replica.isReady || more > least) continue;
          const beside = this.#beside(replica, to);
          if (best && more === least && beside >= nearest) continue;
          const [move] = this.#leave(replica, from, to);
          if (move) [best, least, nearest] = [move, more, beside];
        }
        if (best) return best;
      }
    }
    return undefined;
  }

  #count(at: number): number {
    return this.#replicas[at]?.size ?? 0;
  }

  #shared(replica: PlacedNode, at: number): number {
    const master = this.#masters[at];
    return master ? sharedPlace(replica, master) : 0;
  }

  /** What it would share with the replicas of a shard, but for one that leaves. */
  #beside(replica: PlacedNode, at: number, leaving?: PlacedNode): number {
    let sum = 0;
    for (const other of this.#replicas[at] ?? []) if (other !== leaving) sum += sharedPlace(replica, other);
    return sum;
  }
}
