import { type Reply, ReplyError } from '../../resp/index.ts';
import { badReply, ClusterError, messageOf } from '../errors.ts';
import { isForgotten } from '../model/acquaintance.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { isInHandshake, type NodeRecord } from '../model/node.ts';
import { NodeLines } from '../model/node-lines.ts';
import {
  type AddressAnswer,
  type ClusterView,
  mergeReports,
  type NodeReport,
  parseClusterInfo,
} from '../model/view.ts';
import type { Connections } from './connections.ts';
import { askInfo, loadingProgress } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { steadied } from './steady-links.ts';

/**
 * Asks one node what it knows of its cluster. Rejects with ClusterError `NOT_CLUSTER_ENABLED` for a standalone server, and with
 * the signal's reason.
 */
export async function askNode(
  connections: Connections,
  address: Address,
  signal?: AbortSignal,
  lines: NodeLines = new NodeLines(),
): Promise<NodeReport> {
  const [nodes, info] = await connections.askAll(
    address,
    [
      ['CLUSTER', 'NODES'],
      ['CLUSTER', 'INFO'],
    ],
    { as: 'buffer', early: true, signal },
  );
  return readReport(address, nodes, info, lines);
}

/**
 * Reads what a node answers to CLUSTER NODES and CLUSTER INFO, as bytes. Throws what `askNode()` rejects with if it is an error, or
 * cannot be read.
 */
export function readReport(
  address: Address,
  nodes: Reply | undefined,
  info: Reply | undefined,
  lines: NodeLines,
): NodeReport {
  for (const reply of [nodes, info]) if (reply instanceof ReplyError) throw refusal(reply, address);
  const all = readNodes(nodes, lines, address);
  if (!(info instanceof Uint8Array))
    throw badReply(
      `${formatAddress(address)} does not answer CLUSTER INFO with text`,
      formatAddress(address),
    );
  const inHandshake = all.filter(isInHandshake);
  const records = inHandshake.length === 0 ? all : all.filter((record) => !isInHandshake(record));
  const myself = records.find((record) => record.flags.includes('myself'));
  if (!myself) {
    throw new ClusterError(
      'NODES_DISAGREE',
      `Node ${formatAddress(address)} does not list itself in CLUSTER NODES`,
      {
        address: formatAddress(address),
      },
    );
  }
  return { address, myself, records, inHandshake, info: parseClusterInfo(String(info)) };
}

function readNodes(reply: Reply | undefined, lines: NodeLines, address: Address): NodeRecord[] {
  const name = formatAddress(address);
  if (!(reply instanceof Uint8Array)) throw badReply(`${name} does not answer CLUSTER NODES with text`, name);
  try {
    return lines.parse(reply as Buffer);
  } catch (error) {
    throw badReply(`Cannot read what ${name} answers to CLUSTER NODES: ${messageOf(error)}`, name);
  }
}

function refusal(reply: ReplyError, address: Address): Error {
  if (!isNoClusterNode(reply)) return reply;
  return new ClusterError('NOT_CLUSTER_ENABLED', `Node ${formatAddress(address)} is not cluster enabled`, {
    address: formatAddress(address),
    hint: 'Set "cluster-enabled yes" in its configuration and restart it',
    cause: reply,
  });
}

/** True for the answer of a server that is not cluster enabled to any CLUSTER command. */
export function isNoClusterNode({ message }: ReplyError): boolean {
  return message.includes('cluster support disabled');
}

/**
 * How many nodes are asked at once. In a small cluster it may be more, as long as their answers together have no more lines than
 * this: some four megabytes.
 */
const [AT_ONCE, LINES_AT_ONCE] = [32, 32_000];

/**
 * Asks one node for the others, then asks all of them at once, each at the address where it is listed first. If a node does not
 * answer there with its id, it is tried at every other address that any member lists for it: the node itself knows best where it
 * is.
 * Rejects only if the first node does not answer, and with the signal's reason. `also` is called with each node that is asked,
 * with its record as listed, or without one for the first. What it asks goes out in the same write. At `elsewhere` members may
 * be that others list at other addresses, or a master that all others have forgotten (`isForgotten`). Members that have a link to a
 * node that does not answer are asked again (`steadied`).
 */
export async function look(
  connections: Connections,
  seed: Address,
  signal?: AbortSignal,
  also: (address: Address, record?: NodeRecord) => void = () => {},
  elsewhere: readonly Address[] = [],
): Promise<ClusterView> {
  const search = new Search(connections, signal, also);
  const first = await search.begin(seed);
  const atOnce = Math.max(AT_ONCE, Math.floor(LINES_AT_ONCE / first.records.length));
  await search.run(atOnce);
  await search.tryAt(elsewhere, atOnce);
  return search.end(seed, first);
}

/**
 * The same from several addresses at once, which must all answer: every node there counts as listed, even if no other lists it.
 */
export async function lookFrom(
  connections: Connections,
  addresses: readonly [Address, ...Address[]],
  signal?: AbortSignal,
): Promise<ClusterView> {
  const search = new Search(connections, signal, () => {});
  const [first] = await inParallel(addresses, (address) => search.begin(address));
  await search.run(AT_ONCE);
  return search.end(addresses[0], first);
}

/** One search for all members of a cluster. */
class Search {
  readonly reports = new Map<string, NodeReport>();
  readonly asked = new Map<string, AddressAnswer>();
  readonly #connections: Connections;
  readonly #signal: AbortSignal | undefined;
  readonly #also: (address: Address, record?: NodeRecord) => void;
  readonly #lines = new NodeLines();
  /** By id: the addresses at which members list the node, as text, in the order in which they were found. */
  readonly #listed = new Map<string, Map<string, NodeRecord>>();
  /** Reports of nodes that no member knew when they answered at the address of another. */
  readonly #others = new Map<string, NodeReport>();
  /** Records read so far: equal lines share one object. */
  readonly #read = new Set<NodeRecord>();

  constructor(
    connections: Connections,
    signal: AbortSignal | undefined,
    also: (address: Address, record?: NodeRecord) => void,
  ) {
    this.#connections = connections;
    this.#signal = signal;
    this.#also = also;
  }

  async begin(seed: Address): Promise<NodeReport> {
    const asking = askNode(this.#connections, seed, this.#signal, this.#lines);
    this.#also(seed);
    const first = await asking;
    this.#add(first, formatAddress(seed), true);
    return first;
  }

  /** Asks at more addresses: members that others list elsewhere, or have forgotten, may be there. */
  async tryAt(addresses: readonly Address[], atOnce: number): Promise<void> {
    const more = addresses.filter((address) => !this.asked.has(formatAddress(address)));
    if (more.length === 0) return;
    await inParallel(more, (address) => this.#ask(address));
    const members = [...this.reports.values()];
    for (const address of more) {
      const other = this.#others.get(this.asked.get(formatAddress(address))?.id ?? '');
      if (other && isForgotten(other, members)) this.#accept(other);
    }
    await this.run(atOnce);
  }

  /** Asks until every member has answered, or was asked at every known address. */
  async run(atOnce: number): Promise<void> {
    for (let ahead = this.#next(); ahead.length > 0; ahead = this.#next()) {
      await inParallel(ahead, (record) => this.#ask(record.address, record), atOnce);
    }
  }

  /** What was found. */
  end(seed: Address, first: NodeReport | undefined): Promise<ClusterView> {
    const view = mergeReports(seed, first?.myself.id ?? '', this.reports, this.#unreachable(), this.asked);
    return steadied(this.#connections, view, this.#signal);
  }

  /** By id of a member that has not answered: why. */
  #unreachable(): Map<string, Error> {
    const failures = new Map<string, Error>();
    for (const [id, listed] of this.#listed) {
      if (!this.reports.has(id)) failures.set(id, this.#whyNot(id, [...listed.keys()]));
    }
    return failures;
  }

  /** One address for each node that has not answered where it is listed, if there is one left to try. */
  #next(): NodeRecord[] {
    const ahead = new Map<string, NodeRecord>();
    for (const [id, listed] of this.#listed) {
      if (this.reports.has(id)) continue;
      for (const [name, record] of listed) {
        if (this.asked.has(name) || ahead.has(name)) continue;
        ahead.set(name, record);
        break;
      }
    }
    return [...ahead.values()];
  }

  async #ask(address: Address, record?: NodeRecord): Promise<void> {
    const name = formatAddress(address);
    try {
      const asking = askNode(this.#connections, address, this.#signal, this.#lines);
      this.#also(address, record);
      this.#add(await asking, name);
    } catch (error) {
      this.#signal?.throwIfAborted();
      this.asked.set(name, { error: error as Error, ...(await this.#loading(address, error)) });
    }
  }

  /** A server answers INFO while it loads. If it does not say how far it is, it is loading nevertheless. */
  async #loading(address: Address, error: unknown): Promise<Pick<AddressAnswer, 'loading'>> {
    if (!(error instanceof ReplyError) || error.code !== 'LOADING') return {};
    try {
      const info = await askInfo(this.#connections, address, ['persistence']);
      const loading = loadingProgress(info);
      return loading ? { loading } : {};
    } catch {
      this.#signal?.throwIfAborted();
      return {};
    }
  }

  #add(report: NodeReport, name: string, isNamed = false): void {
    const { id } = report.myself;
    const isAlone = report.records.length === 1 && report.info.slotsAssigned === 0;
    this.asked.set(name, { id, isAlone });
    if (!isNamed && !this.#listed.has(id)) this.#others.set(id, report);
    else this.#accept(report);
  }

  // The report of a member leads to others. One that answered before any member knew it may be among them.
  #accept(report: NodeReport): void {
    const { id } = report.myself;
    if (this.reports.has(id)) return;
    this.reports.set(id, report);
    this.#others.delete(id);
    for (const record of report.records) {
      if (this.#read.has(record)) continue;
      this.#read.add(record);
      this.#list(record);
      const other = this.#others.get(record.id);
      if (other) this.#accept(other);
    }
  }

  #list(record: NodeRecord): void {
    const { id, address, hostname } = record;
    const listed = this.#listed.get(id) ?? new Map<string, NodeRecord>();
    this.#listed.set(id, listed);
    if (!isReachable(record)) return;
    if (hostname) this.#connections.learnHostname(address, hostname);
    const name = formatAddress(address);
    if (!listed.has(name)) listed.set(name, record);
  }

  #whyNot(id: string, names: readonly string[]): Error {
    const [name] = names;
    if (name === undefined) {
      return new ClusterError('NODE_UNREACHABLE', `No address is known for node ${id}`);
    }
    const answers = names.flatMap((one) => this.asked.get(one) ?? []);
    const error = answers.find((answer) => answer.error)?.error;
    if (error) return error;
    const other = this.asked.get(name)?.id ?? '';
    return new ClusterError(
      'NODES_DISAGREE',
      `Node ${id} is listed at ${name}, where node ${other} answers`,
      {
        address: name,
        hint: 'It was reset or replaced: forget the old node id on every node',
      },
    );
  }
}

function isReachable({ address }: NodeRecord): boolean {
  return address.host !== '' && address.port !== 0;
}
