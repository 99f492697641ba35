import { type Command, type Connection, type Reply, ReplyError } from '../../resp/index.ts';
import { ClusterError } from '../errors.ts';
import { type Address, formatAddress, sameAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import type { NodeLines } from '../model/node-lines.ts';
import { type ClusterInfo, type NodeReport, parseClusterInfo } from '../model/view.ts';
import { type NodeRates, type NodeSample, type OwnTraffic, ratesBetween } from '../model/vitals.ts';
import type { Connections } from './connections.ts';
import { readReport } from './look.ts';
import { sampleOf } from './vitals.ts';

const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [500, 10_000];
/** Codes of replies that stay the same however often the command is sent. */
const REFUSALS = ['ERR', 'NOPERM'];
const MOST_DOUBLINGS = 10;
/** What a command or a reply takes on the wire beside its own bytes. */
const FRAME_BYTES = 16;

const ALWAYS: readonly Command[] = [['INFO'], ['CLUSTER', 'INFO']];
const NODES: Command = ['CLUSTER', 'NODES'];
const MY_ID: Command = ['CLUSTER', 'MYID'];

/** Asks one member for its figures, again and again, on a connection of its own. */
export class Poller {
  /** Undefined for whatever node answers at the address. */
  id: string | undefined;
  /** What it reported last; undefined until it has answered, and once it is lost. */
  sample: NodeSample | undefined;
  report: NodeReport | undefined;
  /** Between its last two samples. */
  rates: NodeRates | undefined;
  /** Replies to what it was asked beside its figures. */
  more: ReadonlyMap<Command, Reply> = new Map();
  /** When it last answered, and how often it has. */
  answeredMs: number | undefined;
  answers = 0;
  /** Why it did not answer last time; undefined if it did. */
  error: Error | undefined;
  /** Id of the node that answers at its address instead. */
  stranger: string | undefined;
  /** True if its own figures of the cluster have changed since it listed the nodes. */
  isStale = false;
  readonly #connections: Connections;
  readonly #lostMs: number;
  #addresses: readonly Address[];
  #at = 0;
  #connection: Connection | undefined;
  #isBusy = false;
  #failures = 0;
  #retryMs = 0;
  #own: OwnTraffic = { commands: 0, bytesIn: 0, bytesOut: 0 };
  #isClosed = false;
  /** What the server does not know, or the user may not ask. */
  readonly #refused = new Set<Command>();

  /** A connection on which the node is silent for `lostMs` is given up. */
  constructor(
    connections: Connections,
    lostMs: number,
    id: string | undefined,
    addresses: readonly Address[],
  ) {
    this.#connections = connections;
    this.#lostMs = lostMs;
    this.id = id;
    this.#addresses = addresses;
  }

  /** Where it is asked; undefined if no address is known for it. */
  get address(): Address | undefined {
    return this.#addresses[this.#at];
  }

  /** True while its last answer is awaited. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Addresses at which members list it. The one that it is asked at stays the same until it fails. */
  list(addresses: readonly Address[]): void {
    const { address } = this;
    if (addresses.length === 0) return;
    const at = address ? addresses.findIndex((other) => sameAddress(other, address)) : 0;
    if (at < 0 && address && this.error === undefined) this.#addresses = [address, ...addresses];
    else this.#addresses = addresses;
    this.#at = Math.max(0, at);
  }

  /** True if it may be asked now: nothing is awaited, and a node that cannot be reached is left alone for a while. */
  isDue(nowMs: number): boolean {
    return !this.#isBusy && this.address !== undefined && nowMs >= this.#retryMs;
  }

  /** Asks it, in one write. Never rejects: what happened is in the fields. */
  async ask(lines: NodeLines, wantsNodes: boolean, more: readonly Command[]): Promise<void> {
    const { address } = this;
    if (!address) return;
    this.#isBusy = true;
    try {
      await this.#ask(address, lines, wantsNodes, more);
      this.answeredMs = performance.now();
      this.answers += 1;
      this.error = undefined;
      this.#failures = 0;
    } catch (error) {
      this.#fail(error as Error);
    } finally {
      this.#isBusy = false;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#connection?.destroy();
  }

  async #ask(
    address: Address,
    lines: NodeLines,
    wantsNodes: boolean,
    more: readonly Command[],
  ): Promise<void> {
    if (!this.#connection || this.#connection.closed) {
      this.#refused.clear();
      this.#connection = await this.#connections.fresh(address);
    }
    if (this.#isClosed) this.#connection.destroy();
    const listsNodes = wantsNodes || !this.report;
    const extra = more.filter((command) => !this.#refused.has(command));
    const commands = [...ALWAYS, listsNodes ? NODES : MY_ID, ...extra];
    const replies = await this.#connection.pipeline(commands, { as: 'buffer', timeout: this.#lostMs });
    const [info, state, nodes, ...rest] = replies;
    this.#takeMore(extra, rest);
    this.#takeInfo(info, {
      commands: commands.length,
      bytesIn: bytesOf(commands),
      bytesOut: bytesOf(replies),
    });
    this.stranger = undefined;
    if (!listsNodes) this.#takeState(nodes, state, address);
    else this.#takeReport(readReport(address, nodes, state, lines), address);
  }

  #takeMore(commands: readonly Command[], replies: readonly Reply[]): void {
    this.more = new Map(commands.map((command, index) => [command, replies[index] ?? null]));
    for (const [command, reply] of this.more) {
      if (reply instanceof ReplyError && REFUSALS.includes(reply.code)) this.#refused.add(command);
    }
  }

  // A user who may not run INFO still sees who is in the cluster.
  #takeInfo(reply: Reply | undefined, own: OwnTraffic): void {
    const sample =
      reply instanceof Uint8Array
        ? sampleOf((reply as Buffer).toString('latin1'), performance.now())
        : undefined;
    this.rates = this.sample && sample && ratesBetween(this.sample, sample, this.#own);
    this.sample = sample;
    // A reply is counted after it was written: in the sample after this one.
    this.#own = own;
  }

  #takeReport(report: NodeReport, address: Address): void {
    this.#requireOwn(report.myself.id, address);
    const known = this.report;
    // The same list stays the same object, so that nothing is concluded from it again.
    const records = known && isSame(known.records, report.records) ? known.records : report.records;
    this.report = { ...report, records };
    this.isStale = false;
  }

  #takeState(id: Reply | undefined, state: Reply | undefined, address: Address): void {
    for (const reply of [id, state]) if (reply instanceof ReplyError) throw reply;
    this.#requireOwn(String(id), address);
    if (!this.report) return;
    const info = parseClusterInfo(String(state));
    this.isStale ||= markOf(info) !== markOf(this.report.info);
    this.report = { ...this.report, info };
  }

  #requireOwn(id: string, address: Address): void {
    if (this.id === undefined || id === this.id) return;
    this.stranger = id;
    const name = formatAddress(address);
    const message = `Node ${this.id} is listed at ${name}, where node ${id} answers`;
    throw new ClusterError('NODES_DISAGREE', message, { address: name });
  }

  #fail(error: Error): void {
    this.error = error;
    // A node that loads its data says so on a connection that is good.
    if (error instanceof ReplyError && this.#connection?.closed === false) return;
    this.#connection?.destroy();
    this.#connection = undefined;
    this.sample = undefined;
    this.rates = undefined;
    this.#retryMs = performance.now() + Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures = Math.min(this.#failures + 1, MOST_DOUBLINGS);
    this.#at = (this.#at + 1) % Math.max(1, this.#addresses.length);
  }
}

function isSame(some: readonly NodeRecord[], others: readonly NodeRecord[]): boolean {
  return some.length === others.length && some.every((record, index) => record === others[index]);
}

function markOf({ state, slotsAssigned, knownNodes, currentEpoch }: ClusterInfo): string {
  return `${state} ${slotsAssigned} ${knownNodes} ${currentEpoch}`;
}

function bytesOf(values: readonly (Reply | Command)[]): number {
  return values.reduce((sum: number, value) => {
    if (Array.isArray(value)) return sum + FRAME_BYTES + bytesOf(value);
    return sum + FRAME_BYTES + (typeof value === 'string' || value instanceof Uint8Array ? value.length : 0);
  }, 0);
}
