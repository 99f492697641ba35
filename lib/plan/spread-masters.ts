import { type PlacedNode, type Shard, sharedPlace } from '../model/replica-places.ts';

/** A node that may be the master of its shard. */
interface Option {
  readonly node: PlacedNode;
  /** Index of its cell: its host, in its zone. */
  readonly cell: number;
  /** 1 for a failover, and far less for each replica that would share a place with it. */
  readonly cost: number;
}

/** Compared by `high` first: one number would not hold it exactly. */
interface Cost {
  readonly high: number;
  readonly low: number;
}

const START = -1;

/**
 * Chooses the master of each shard among the nodes that may be it: as few places as possible that hold so many masters that the others
 * are not a majority, hosts before zones; then as even numbers as possible, in zones before hosts; then as few failovers as possible;
 * then as few replicas as possible beside their master. Exact: the cheapest flow from the shards by hosts and zones, in which each more
 * master of a place costs more than the one before. Returns the index of each choice.
 */
export function chooseMasters(
  shards: readonly Shard[],
  mayLead: (node: PlacedNode, shard: Shard) => boolean,
): PlacedNode[] {
  const layout = new Layout(shards, mayLead);
  for (const index of shards.keys()) layout.add(index);
  return shards.map(({ master }, index) => layout.chosen[index]?.node ?? master);
}

class Layout {
  readonly chosen: Option[] = [];
  readonly #options: Option[][];
  /** By cell: its zone, and the shards whose master is there. */
  readonly #zoneOf: number[] = [];
  readonly #shardsAt: Set<number>[] = [];
  readonly #cellsIn: number[][] = [];
  readonly #inZone: number[] = [];
  readonly #masters: number;
  readonly #replicas: number;

  constructor(shards: readonly Shard[], mayLead: (node: PlacedNode, shard: Shard) => boolean) {
    this.#masters = shards.length;
    this.#replicas = 1 + shards.reduce((sum, { replicas }) => sum + replicas.length, 0);
    const isZoned = shards.some(({ master, replicas }) =>
      [master, ...replicas].some(({ zone }) => zone !== ''),
    );
    const [cells, zones] = [new Map<string, number>(), new Map<string, number>()];
    const cellOf = ({ host, zone }: PlacedNode): number => {
      // A host of which no zone is known stands alone.
      const zoneName = zone === '' && isZoned ? `host ${host}` : `zone ${zone}`;
      const name = `${zoneName} ${host}`;
      const known = cells.get(name);
      if (known !== undefined) return known;
      const at = zones.get(zoneName) ?? zones.size;
      zones.set(zoneName, at);
      const cell = cells.size;
      cells.set(name, cell);
      this.#zoneOf[cell] = at;
      this.#shardsAt[cell] = new Set();
      this.#inZone[at] ??= 0;
      const inZone = this.#cellsIn[at];
      if (inZone) inZone.push(cell);
      else this.#cellsIn[at] = [cell];
      return cell;
    };
    this.#options = shards.map((shard) => this.#optionsOf(shard, mayLead, cellOf));
  }

  /** The best node of each cell. */
  #optionsOf(
    shard: Shard,
    mayLead: (node: PlacedNode, shard: Shard) => boolean,
    cellOf: (node: PlacedNode) => number,
  ): Option[] {
    const { master, replicas } = shard;
    const all = [master, ...replicas];
    const best = new Map<number, Option>();
    for (const node of all) {
      if (node !== master && !mayLead(node, shard)) continue;
      let shared = 0;
      for (const other of all) if (other !== node) shared += sharedPlace(node, other, this.#replicas);
      const cost = (node === master ? 0 : this.#replicas * (this.#replicas + 1)) + shared;
      const cell = cellOf(node);
      const known = best.get(cell);
      if (!known || cost < known.cost) best.set(cell, { node, cell, cost });
    }
    // A node that must not stay a master does not count as one.
    const others = [...best.values()].filter(({ node }) => node !== master || mayLead(node, shard));
    return others.length > 0 ? others : [...best.values()];
  }

  /** Gives a shard a master by the cheapest chain of changes. */
  add(index: number): void {
    const cells = this.#zoneOf.length;
    const sink = cells + this.#inZone.length;
    const paths = new Paths(sink);
    for (const option of this.#options[index] ?? [])
      paths.reach(option.cell, START, 0, option.cost, option, index);
    for (let at = paths.next(); at !== undefined; at = paths.next()) {
      if (at >= cells) {
        const zone = at - cells;
        const more = this.#ofZone(this.#inZone[zone] ?? 0);
        paths.reach(sink, at, more.high, more.low);
        for (const cell of this.#cellsIn[zone] ?? []) {
          const load = this.#shardsAt[cell]?.size ?? 0;
          if (load === 0) continue;
          const less = this.#ofHost(load - 1);
          paths.reach(cell, at, -less.high, -less.low);
        }
        continue;
      }
      const more = this.#ofHost(this.#shardsAt[at]?.size ?? 0);
      paths.reach(cells + (this.#zoneOf[at] ?? 0), at, more.high, more.low);
      for (const shard of this.#shardsAt[at] ?? []) {
        const now = this.chosen[shard];
        for (const option of this.#options[shard] ?? [])
          if (now && option !== now) paths.reach(option.cell, at, 0, option.cost - now.cost, option, shard);
      }
    }
    for (let at = sink; at !== START; at = paths.from[at] ?? START) {
      if (at === sink) {
        const zone = (paths.from[at] ?? START) - cells;
        this.#inZone[zone] = (this.#inZone[zone] ?? 0) + 1;
      }
      const option = paths.options[at];
      if (option) this.#choose(paths.shards[at] ?? 0, option);
    }
  }

  #choose(shard: number, option: Option): void {
    const before = this.chosen[shard];
    if (before) this.#shardsAt[before.cell]?.delete(shard);
    this.chosen[shard] = option;
    this.#shardsAt[option.cell]?.add(shard);
  }

  /** What one more master costs where there are so many: in a zone, and on a host. */
  #ofZone(load: number): Cost {
    const most = this.#masters + 2;
    return { high: this.#excess(load) * most * most + 2 * load + 1, low: 0 };
  }

  #ofHost(load: number): Cost {
    const most = this.#masters + 2;
    const unit = (this.#masters + 1) * this.#replicas * (this.#replicas + 1);
    return { high: this.#excess(load) * most * most * most, low: (2 * load + 1) * unit };
  }

  /** How many more are too many when one is added: with half of them, the others are not a majority any more. */
  #excess(load: number): number {
    const tooMany = (own: number): number => Math.max(0, 2 * own - this.#masters + 1);
    return tooMany(load + 1) - tooMany(load);
  }
}

/** The cheapest way found so far to each place, in arrays: this is the inner loop. */
class Paths {
  readonly from: Int32Array;
  readonly shards: Int32Array;
  readonly options: (Option | undefined)[] = [];
  readonly #high: Float64Array;
  readonly #low: Float64Array;
  readonly #isQueued: Uint8Array;
  readonly #queue: number[] = [];
  readonly #sink: number;

  constructor(sink: number) {
    this.#sink = sink;
    this.from = new Int32Array(sink + 1).fill(START);
    this.shards = new Int32Array(sink + 1);
    this.#high = new Float64Array(sink + 1).fill(Number.POSITIVE_INFINITY);
    this.#low = new Float64Array(sink + 1);
    this.#isQueued = new Uint8Array(sink + 1);
  }

  /** The next place whose ways on are to be looked at. */
  next(): number | undefined {
    const at = this.#queue.shift();
    if (at !== undefined) this.#isQueued[at] = 0;
    return at;
  }

  reach(to: number, from: number, high: number, low: number, option?: Option, shard = START): void {
    const inAll = from === START ? high : high + (this.#high[from] ?? 0);
    const known = this.#high[to] ?? 0;
    if (inAll > known) return;
    const rest = from === START ? low : low + (this.#low[from] ?? 0);
    if (inAll === known && rest >= (this.#low[to] ?? 0)) return;
    this.#high[to] = inAll;
    this.#low[to] = rest;
    this.from[to] = from;
    this.shards[to] = shard;
    this.options[to] = option;
    if (to === this.#sink || this.#isQueued[to]) return;
    this.#isQueued[to] = 1;
    this.#queue.push(to);
  }
}
