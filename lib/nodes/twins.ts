import { ClusterError } from '../errors.ts';
import { sharedIdAdvice } from '../findings/node-findings.ts';
import { hasAddress } from '../model/acquaintance.ts';
import { type Address, formatAddress, parseAddress } from '../model/address.ts';
import type { SharedId } from '../model/details.ts';
import { isInHandshake, type NodeRecord } from '../model/node.ts';
import type { ClusterView, NodeReport } from '../model/view.ts';
import type { Connections } from './connections.ts';
import type { Context } from './context.ts';
import { askNode } from './look.ts';
import { askInfo, serverTime } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { DONE, waitUntil } from './wait-until.ts';

const PAUSE_MS = 100;
const RESTLESS_MS = 1500;
const MOST_WATCHED = 8;
/** Looks in a row that find nothing, until a link is taken for one that was only just made. */
const CALM_LOOKS = 3;
/** Servers look every 100 ms whether a link is missing (clusterCron). */
const YOUNG_MS = 250;

/** A server that answers at an address that members list, other than those of the view. */
export interface Elsewhere {
  readonly id: string;
  readonly runId: string;
  readonly address: string;
}

interface Watching {
  readonly signal?: AbortSignal | undefined;
  /** More addresses to ask at: of nodes that are not members yet. */
  readonly also?: readonly Address[];
  /** What `hasYoungLinks()` answered, if it was asked before. */
  readonly asked?: Promise<boolean>;
}

/**
 * Asks who answers at every address that members list, or that was asked, beside the one at which the view has a node.
 *
 * Servers started with copies of one nodes.conf answer with the same id. Other nodes use now one, now the other address for it, their
 * links to it break with each change, and a node that should meet the second server stays in handshake with it. So if a link is
 * down between nodes that answer, or was made a moment ago, this also watches for a moment where they look for each other.
 */
export async function askElsewhere(
  connections: Connections,
  view: ClusterView,
  { signal, also = [], asked = hasYoungLinks(connections, view.seed, signal) }: Watching = {},
): Promise<Elsewhere[]> {
  const places = new Places(view);
  const { others } = places;
  for (const report of view.reports.values()) places.add(report);
  places.addAsked();
  if (others.size === 0) await watchRestless(connections, view, places, { signal, asked });
  for (const address of also) places.addAddress(address);
  const found = await inParallel([...others.values()], async (address): Promise<Elsewhere[]> => {
    try {
      const [id, info] = await Promise.all([
        askId(connections, address, signal),
        askInfo(connections, address, ['server']),
      ]);
      return [{ id, runId: info.get('run_id') ?? '', address: formatAddress(address) }];
    } catch {
      signal?.throwIfAborted();
      // A second address that does not answer is just another name of a node that does.
      return [];
    }
  });
  return found.flat();
}

async function askId(connections: Connections, address: Address, signal?: AbortSignal): Promise<string> {
  const [id] = await connections.askAll(address, [['CLUSTER', 'MYID']], { early: true, signal });
  if (id instanceof Error) throw id;
  return String(id);
}

/** The addresses at which members list nodes that answer elsewhere. */
class Places {
  readonly others = new Map<string, Address>();
  readonly #view: ClusterView;
  readonly #own: ReadonlySet<string>;
  /** Equal lines of different nodes share one object. */
  readonly #seen = new Set<NodeRecord>();

  constructor(view: ClusterView) {
    this.#view = view;
    this.#own = new Set(view.nodes.map(({ address }) => formatAddress(address)));
  }

  /** Where a node of the view has answered besides, as at an address that was named. */
  addAsked(): void {
    for (const [name, { id }] of this.#view.asked ?? [])
      if (id !== undefined && this.#view.reports.has(id) && !this.#own.has(name))
        this.others.set(name, parseAddress(name));
  }

  add({ records, inHandshake = [] }: NodeReport): void {
    for (const record of records.concat(inHandshake)) {
      if (this.#seen.has(record)) continue;
      this.#seen.add(record);
      const { address, id } = record;
      if (!hasAddress(record) || (this.#view.unreachable.has(id) && !isInHandshake(record))) continue;
      this.addAddress(address);
    }
  }

  addAddress(address: Address): void {
    const name = formatAddress(address);
    if (!this.#own.has(name)) this.others.set(name, address);
  }
}

async function watchRestless(
  connections: Connections,
  view: ClusterView,
  places: Places,
  { signal, asked }: Watching,
): Promise<void> {
  const hasBroken = ({ records }: NodeReport): boolean =>
    records.some(({ id, linkState }) => linkState !== 'connected' && view.reports.has(id));
  const hasYoung = (): Promise<boolean> => hasYoungLinks(connections, view.seed, signal);
  const all = [...view.reports.values()];
  if (all.length < 2 || (!all.some(hasBroken) && !(await asked))) return;
  const watched = [...all.filter(hasBroken), ...all.filter((one) => !hasBroken(one))].slice(0, MOST_WATCHED);
  let calm = 0;
  const wait = { what: 'links between members', timeoutMs: RESTLESS_MS, pauseMs: PAUSE_MS, signal };
  await waitUntil(wait, async () => {
    const seen = await inParallel(watched, ({ address }) =>
      askNode(connections, address, signal).catch(() => undefined),
    );
    signal?.throwIfAborted();
    const reports = seen.flatMap((report) => report ?? []);
    for (const report of reports) places.add(report);
    calm = reports.some(hasBroken) || (await hasYoung()) ? 0 : calm + 1;
    if (places.others.size > 0 || calm >= CALM_LOOKS) return DONE;
    return { missing: [], giveUp: () => DONE };
  });
}

/** True if the node that was asked first has made a link a moment ago. Servers before Redis 7.0 do not say. */
export async function hasYoungLinks(
  connections: Connections,
  seed: Address,
  signal?: AbortSignal,
): Promise<boolean> {
  const asking = connections.askAll(seed, [['CLUSTER', 'LINKS'], ['TIME']], { early: true, signal });
  const [links, time] = await asking.catch(() => []);
  signal?.throwIfAborted();
  const nowMs = serverTime(time);
  if (!Array.isArray(links) || nowMs === undefined) return false;
  return links.some((link) => {
    if (!Array.isArray(link)) return false;
    const madeMs = Number(link[link.map(String).indexOf('create-time') + 1]);
    return nowMs - madeMs < YOUNG_MS;
  });
}

/** Node ids with which several servers answer. `runIds` holds those of the nodes of the view. */
export function sharedIds(
  view: ClusterView,
  runIds: ReadonlyMap<string, string>,
  elsewhere: readonly Elsewhere[],
): SharedId[] {
  const shared = new Map<string, Map<string, string>>();
  for (const { id, runId, address } of elsewhere) {
    const own = runIds.get(id);
    const report = view.reports.get(id);
    if (!report || own === undefined || runId === own) continue;
    const servers = shared.get(id) ?? new Map([[own, formatAddress(report.address)]]);
    servers.set(runId, address);
    shared.set(id, servers);
  }
  return [...shared].map(([id, servers]) => ({ id, addresses: [...servers.values()].sort() }));
}

/**
 * Throws if two servers answer with one node id: what is sent to one of them does not reach the other, and the members use now one,
 * now the other. `also` are addresses of nodes that are to become members.
 */
export async function requireNoTwins(
  { connections, signal }: Context,
  view: ClusterView,
  also: readonly Address[] = [],
): Promise<void> {
  const elsewhere = await askElsewhere(connections, view, { signal, also });
  const reports = new Map(elsewhere.flatMap(({ id }) => [[id, view.reports.get(id)] as const]));
  const asked = await inParallel([...reports], async ([id, report]): Promise<[string, string][]> => {
    // What may not be asked cannot tell them apart.
    const info = report && (await askInfo(connections, report.address, ['server']).catch(() => undefined));
    return info ? [[id, info.get('run_id') ?? '']] : [];
  });
  signal?.throwIfAborted();
  const [twins] = sharedIds(view, new Map(asked.flat()), elsewhere);
  if (!twins) return;
  throw sharedId(twins);
}

/** These nodes, each once: several addresses may lead to one. Throws if several servers answer with one node id. */
export async function eachOnce<Asked extends { readonly report: NodeReport }>(
  { connections }: Context,
  asked: readonly Asked[],
): Promise<Asked[]> {
  const first = new Map(asked.toReversed().map((one) => [one.report.myself.id, one]));
  for (const id of first.keys()) {
    const same = asked.filter(({ report }) => report.myself.id === id);
    if (same.length === 1) continue;
    const servers = await inParallel(same, async ({ report: { address } }): Promise<[string, string]> => {
      const info = await askInfo(connections, address, ['server']);
      return [info.get('run_id') ?? '', formatAddress(address)];
    });
    const byServer = new Map(servers);
    if (byServer.size > 1) throw sharedId({ id, addresses: [...byServer.values()].sort() });
  }
  return asked.filter((one) => first.get(one.report.myself.id) === one);
}

/** The error for servers that answer with one node id. */
export function sharedId({ id, addresses }: SharedId): ClusterError {
  return new ClusterError(
    'AMBIGUOUS_NODE',
    `Two servers answer with the node id ${id}: ${addresses.join(' and ')}`,
    { address: addresses[0], hint: `Nothing was changed. ${sharedIdAdvice}` },
  );
}
