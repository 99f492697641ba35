import type { Command } from '../../resp/index.ts';
import { type Address, formatAddress, sameAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { NodeLines } from '../model/node-lines.ts';
import { type AddressAnswer, type ClusterView, mergeReports, type NodeReport } from '../model/view.ts';
import type { Connections } from './connections.ts';
import { Poller } from './poller.ts';

/**
 * Lines of CLUSTER NODES that are asked for in one round, over all nodes: each node lists all others. In a larger cluster the nodes
 * are asked in turn, and at once if one has seen a change.
 */
const LINES_A_ROUND = 300;
/** Lines that nodes have ever sent are remembered: forgotten again after so many rounds. */
const LINES_KEPT = 120;

/** The members of a cluster, asked in rounds, and followed as they come and go. */
export class Members {
  readonly #connections: Connections;
  readonly #lostMs: number;
  readonly #seed: Address;
  readonly #pollers = new Map<string, Poller>();
  #lines = new NodeLines();
  #round = 0;
  #known: ClusterView | undefined;
  /** What the last view was made from, and the last list of members. */
  #mark: readonly unknown[] = [];
  #followed: readonly unknown[] = [];

  /** A connection on which a node is silent for `lostMs` is given up. */
  constructor(connections: Connections, seed: Address, lostMs: number) {
    this.#connections = connections;
    this.#lostMs = lostMs;
    this.#seed = seed;
  }

  /** By node id. */
  get pollers(): ReadonlyMap<string, Poller> {
    return this.#pollers;
  }

  /** Asks the seed. Rejects as `look()` does if it does not answer. */
  async begin(more: (poller: Poller) => readonly Command[]): Promise<void> {
    const first = new Poller(this.#connections, this.#lostMs, undefined, [this.#seed]);
    await first.ask(this.#lines, true, more(first));
    if (first.error || !first.report) {
      first.close();
      throw first.error;
    }
    first.id = first.report.myself.id;
    this.#pollers.set(first.id, first);
    this.#follow();
  }

  /**
   * Asks every member that is not still expected to answer, and waits for those that answered last time, but not longer than so many
   * milliseconds. Members that come to be known are asked in the same round.
   */
  async poll(more: (poller: Poller) => readonly Command[], longestMs: number): Promise<void> {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        isOver = true;
        resolve();
      }, longestMs);
    });
    if (this.#round % LINES_KEPT === LINES_KEPT - 1) this.#lines = new NodeLines();
    const asked = new Set<Poller>();
    try {
      while (!isOver) {
        const due = [...this.#pollers.values()].filter(
          (poller) => !asked.has(poller) && poller.isDue(performance.now()),
        );
        if (due.length === 0) return;
        const answers = due.map((poller, index) => {
          asked.add(poller);
          const isAwaited = poller.error === undefined;
          const answer = poller.ask(this.#lines, poller.isStale || this.#isTurnOf(index), more(poller));
          return isAwaited ? answer : undefined;
        });
        await Promise.race([Promise.all(answers), late]);
        this.#follow();
      }
    } finally {
      clearTimeout(timer);
      this.#round += 1;
    }
  }

  /** What the members that answer report, the same object as long as nothing has changed. */
  view(): ClusterView {
    const fresh = this.#fresh();
    const mark = [...this.#pollers].flatMap(([id, poller]) => {
      const report = fresh.get(id);
      const { state, slotsAssigned, currentEpoch } = report?.info ?? {};
      return [id, report?.records, state, slotsAssigned, currentEpoch, poller.error?.message];
    });
    if (this.#known && isEqual(mark, this.#mark)) return this.#known;
    this.#mark = mark;
    const unreachable = new Map<string, Error>();
    const asked = new Map<string, AddressAnswer>();
    for (const [id, poller] of this.#pollers) {
      const { address, stranger, sample } = poller;
      const loading = sample?.details.loading;
      const error = poller.error ?? new Error('It has not answered yet');
      if (!fresh.has(id)) unreachable.set(id, error);
      if (!address) continue;
      const answer = fresh.has(id) ? { id } : stranger === undefined ? { error } : { id: stranger };
      asked.set(formatAddress(address), { ...answer, ...(loading ? { loading } : {}) });
    }
    const [first] = fresh.values();
    const seed = [...fresh.values()].find(({ address }) => sameAddress(address, this.#seed)) ?? first;
    // If nobody answers, the last picture is all there is.
    const reports = seed ? fresh : (this.#known?.reports ?? fresh);
    const from = seed ?? [...reports.values()][0];
    this.#known = mergeReports(
      from?.address ?? this.#seed,
      from?.myself.id ?? '',
      reports,
      unreachable,
      asked,
    );
    return this.#known;
  }

  close(): void {
    for (const poller of this.#pollers.values()) poller.close();
  }

  #isTurnOf(index: number): boolean {
    const turns = Math.ceil(this.#pollers.size ** 2 / LINES_A_ROUND);
    return index % turns === this.#round % turns;
  }

  #fresh(): Map<string, NodeReport> {
    const reports = new Map<string, NodeReport>();
    for (const [id, { report, error }] of this.#pollers)
      if (report && error === undefined) reports.set(id, report);
    return reports;
  }

  /** Adds members that any other lists, and drops those that none lists any more. */
  #follow(): void {
    const fresh = this.#fresh();
    if (fresh.size === 0) return;
    const lists = [...fresh.values()].map(({ records }) => records);
    if (isEqual(lists, this.#followed)) return;
    this.#followed = lists;
    const listed = new Map<string, Map<string, Address>>();
    for (const [by, { records }] of fresh) {
      // A node that was removed and knows no other does not call itself a member.
      for (const record of records) if (record.id !== by || records.length > 1) this.#list(listed, record);
    }
    // A cluster of one.
    if (listed.size === 0) for (const { myself } of fresh.values()) this.#list(listed, myself);
    for (const [id, poller] of this.#pollers) {
      if (listed.has(id)) continue;
      poller.close();
      this.#pollers.delete(id);
    }
    for (const [id, addresses] of listed) {
      const poller = this.#pollers.get(id);
      const known = [...addresses.values()];
      if (poller) poller.list(known);
      else this.#pollers.set(id, new Poller(this.#connections, this.#lostMs, id, known));
    }
  }

  #list(listed: Map<string, Map<string, Address>>, { id, address, hostname }: NodeRecord): void {
    const addresses = listed.get(id) ?? new Map<string, Address>();
    listed.set(id, addresses);
    if (address.host === '' || address.port === 0) return;
    if (hostname) this.#connections.learnHostname(address, hostname);
    addresses.set(formatAddress(address), address);
  }
}

function isEqual(some: readonly unknown[], others: readonly unknown[]): boolean {
  return some.length === others.length && some.every((part, index) => part === others[index]);
}
