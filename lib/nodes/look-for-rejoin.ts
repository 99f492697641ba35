import { ClusterError, invalidArgument } from '../errors.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import { acquaint, hasAddress, type Stranger } from '../model/acquaintance.ts';
import { type Address, formatAddress, sameAddress } from '../model/address.ts';
import type { NodeDetails } from '../model/details.ts';
import { shorten } from '../model/lists.ts';
import type { NodeRecord } from '../model/node.ts';
import {
  type AddressAnswer,
  type ClusterView,
  mergeReports,
  type NodeReport,
  nodeName,
} from '../model/view.ts';
import { absentIn } from '../plan/rejoin.ts';
import { type Context, nodeError } from './context.ts';
import { detailsOf } from './inspect.ts';
import { lookFrom } from './look.ts';
import { askInfo } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { sharedId } from './twins.ts';

/** Old addresses mostly lead nowhere, and packets to them may vanish. */
const ELSEWHERE_MS = 2000;
const SHOWN = 5;

/** A cluster whose members may not find one another. */
export interface Scattered {
  /** Its members only, each with the address where the others reach it. */
  readonly view: ClusterView;
  readonly details: ReadonlyMap<string, NodeDetails>;
}

/**
 * Looks for the members of one cluster at these addresses, and at all that they list. Rejects with ClusterError `NOT_SAME_CLUSTER` if a
 * node is not a member, `AMBIGUOUS_NODE` if two servers answer with one id, and `NODE_UNREACHABLE` if a member is not found,
 * unless forced, or announces an address where it is not.
 */
export async function lookScattered(
  context: Context,
  addresses: readonly [Address, ...Address[]],
): Promise<Scattered> {
  const { connections, signal } = context;
  const seen = await lookFrom(connections, addresses, signal);
  const named = new Set(addresses.flatMap((address) => seen.asked?.get(formatAddress(address))?.id ?? []));
  const { members, strangers } = acquaint(seen.reports, named);
  if (strangers.length > 0) throw notSameCluster(strangers);
  const reports = new Map([...seen.reports].filter(([id]) => members.has(id)));
  const asked = await askElsewhere(context, reports, seen.asked ?? new Map());
  const infos = new Map(
    await inParallel([...reports.values()], async ({ myself, address }) => {
      const info = await askInfo(connections, address, ['server', 'replication', 'keyspace']);
      return [myself.id, detailsOf(info)] as const;
    }),
  );
  await requireOneServerEach(context, reports, infos, asked);
  const listed = new Set([...reports.values()].flatMap(({ records }) => records.map(({ id }) => id)));
  const unreachable = new Map([...seen.unreachable].filter(([id]) => listed.has(id)));
  const placed = new Map(
    [...reports].map(([id, report]) => [id, { ...report, address: placeOf(report, asked) }]),
  );
  const view = mergeReports(seen.seed, seen.seedId, placed, unreachable, asked);
  context.account.view = view;
  requirePlaces(view);
  requireFound(context, view);
  await requireAnnounced(context, view);
  return { view, details: infos };
}

const WHY: Readonly<Record<Stranger['why'], string>> = {
  alone: 'it lists no other node: it is new, was reset, or is a cluster of its own',
  unrelated: 'it lists none of the others, nor do they list it: it belongs to another cluster',
  reset: 'others list it, but it lists few of them or none: it was reset, or went over to another cluster',
  unknown: 'none of the others lists it, and it lists too few of them',
  between: 'it lists only some of the others: its nodes.conf is old, or two clusters are about to merge',
};

function notSameCluster(strangers: readonly Stranger[]): ClusterError {
  const [first] = strangers;
  const texts = strangers
    .toSorted((a, b) => (a.address < b.address ? -1 : 1))
    .map(({ address, id, why }) => `${address} (node ${id}): ${WHY[why]}`);
  return new ClusterError(
    'NOT_SAME_CLUSTER',
    `Not all of these nodes are members of one cluster: ${shorten(texts, SHOWN, 'node').join('; ')}`,
    {
      address: first?.address,
      hint: 'Nothing was changed. Members of one cluster list the ids of one another. Name the nodes of one cluster only',
    },
  );
}

/** The result of asking at every address that members list for one that has answered elsewhere already. */
async function askElsewhere(
  { connections, signal }: Context,
  reports: ReadonlyMap<string, NodeReport>,
  asked: ReadonlyMap<string, AddressAnswer>,
): Promise<Map<string, AddressAnswer>> {
  const all = new Map(asked);
  const others = new Map<string, Address>();
  const seen = new Set<NodeRecord>();
  for (const { records } of reports.values()) {
    for (const record of records) {
      if (seen.has(record)) continue;
      seen.add(record);
      const name = formatAddress(record.address);
      if (hasAddress(record) && !all.has(name)) others.set(name, record.address);
    }
  }
  await inParallel(
    [...others],
    async ([name, address]) => {
      try {
        all.set(name, { id: String(await connections.askSoon(address, ['CLUSTER', 'MYID'], ELSEWHERE_MS)) });
      } catch (error) {
        signal?.throwIfAborted();
        all.set(name, { error: error as Error });
      }
    },
    256,
  );
  return all;
}

// A copied data directory gives two servers one id. Members would use now one, now the other.
async function requireOneServerEach(
  { connections }: Context,
  reports: ReadonlyMap<string, NodeReport>,
  infos: ReadonlyMap<string, NodeDetails>,
  asked: ReadonlyMap<string, AddressAnswer>,
): Promise<void> {
  const doubles = [...asked].flatMap(([name, { id }]) => {
    const report = id === undefined ? undefined : reports.get(id);
    return report && formatAddress(report.address) !== name ? [{ name, report }] : [];
  });
  await inParallel(doubles, async ({ name, report }) => {
    const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d+)$/.exec(name) ?? [];
    const info = await askInfo(connections, { host, port: Number(port) }, ['server']);
    const { id } = report.myself;
    if (info.get('run_id') === infos.get(id)?.runId) return;
    throw sharedId({ id, addresses: [name, formatAddress(report.address)] });
  });
}

/** Where the others reach a node: the address that it announces if it answers there, else the one at which it was asked. */
function placeOf({ myself, address }: NodeReport, asked: ReadonlyMap<string, AddressAnswer>): Address {
  const own = myself.address;
  if (own.host !== '' && asked.get(formatAddress(own))?.id === myself.id) return own;
  return address;
}

const LOOPBACK = /^(127\.[\d.]+|::1|localhost)$/;

// There each node finds only itself.
function requirePlaces({ reports }: ClusterView): void {
  const places = [...reports.values()].map(({ address }) => address);
  const inside = places.find(({ host }) => LOOPBACK.test(host));
  const outside = places.find(({ host }) => !LOOPBACK.test(host));
  if (!inside || !outside) return;
  throw invalidArgument(
    `The node at ${formatAddress(outside)} cannot find another one at ${formatAddress(inside)}: give addresses at which the nodes reach one another`,
  );
}

function requireFound(context: Context, view: ClusterView): void {
  const { gone, missing, unable } = absentIn(view);
  const name = (id: string): string => {
    const shown = nodeName(view, id);
    return shown === id ? id : `${id} (listed at ${shown})`;
  };
  const [first] = unable;
  if (first !== undefined && !context.settings.force) {
    const { says, hint, next } = wordsOnCondition(view, first);
    const node = nodeName(view, first);
    throw nodeError('NODE_UNREACHABLE', node, `Cannot introduce the members again: ${node} ${says}`, {
      hint: ['Nothing was changed', ...(hint ? [hint] : [])].join('. '),
      next,
      cause: view.unreachable.get(first),
    });
  }
  if (missing.length > 0 && !context.settings.force) {
    const texts = shorten(missing.map(name), SHOWN, 'node').join(', ');
    const count = missing.length === 1 ? 'A member is' : `${missing.length} members are`;
    throw new ClusterError('NODE_UNREACHABLE', `${count} at none of the addresses known: ${texts}`, {
      address: nodeName(view, missing[0] ?? ''),
      hint: 'Nothing was changed. Give the addresses at which they are now',
      next: [
        {
          do: 'rejoin',
          nodes: [...view.reports.values()].map(({ address }) => formatAddress(address)),
          when: 'moved',
        },
        { do: 'retry', options: { force: true }, when: 'gone-for-good' },
      ],
    });
  }
  for (const id of [...gone, ...missing, ...unable]) {
    const { says } = wordsOnCondition(view, id);
    const message = `Node ${name(id)} is left out: it ${says}`;
    const { warned } = context.account;
    if (!warned.has(message)) context.emit({ type: 'warning', node: nodeName(view, id), message });
    warned.add(message);
  }
}

// A server takes the address that another announces (nodeIp2String), even if it leads nowhere.
async function requireAnnounced({ connections, settings }: Context, view: ClusterView): Promise<void> {
  const doubtful = [...view.reports.values()].filter(
    ({ myself, address }) => myself.address.host !== '' && !sameAddress(myself.address, address),
  );
  await inParallel(doubtful, async ({ myself, address }) => {
    if (settings.force) return;
    const [here, there] = [formatAddress(address), formatAddress(myself.address)];
    const isLinked = [...view.reports.values()].some(({ records }) =>
      records.some(
        (record) =>
          record.id === myself.id &&
          !record.flags.includes('myself') &&
          record.linkState === 'connected' &&
          sameAddress(record.address, myself.address),
      ),
    );
    if (isLinked) {
      throw nodeError(
        'NODE_UNREACHABLE',
        here,
        `Others have a link to ${here} at ${there}, where it cannot be reached from here`,
        { hint: 'Nothing was changed. Say how it is reached with an address map' },
      );
    }
    const wrong = await announcedOtherwise(
      connections.askAll(address, [['CONFIG', 'GET', 'cluster-announce-*']]),
      address,
    );
    if (!wrong) return;
    throw nodeError(
      'NODE_UNREACHABLE',
      here,
      `Node ${here} announces ${there}, and does not answer there: the others would look for it in vain`,
      {
        hint: 'Nothing was changed',
        next: [
          { do: 'configure', node: here, settings: [wrong] },
          { do: 'retry', when: 'repaired' },
        ],
      },
    );
  });
}

/** The setting by which a node announces another address than this; undefined if there is none, or it does not say. */
async function announcedOtherwise(
  asking: Promise<readonly unknown[]>,
  { host, port }: Address,
): Promise<string | undefined> {
  const [reply] = await asking;
  if (!Array.isArray(reply)) return undefined;
  const words = reply.map(String);
  const settingOf = (name: string): string => words[words.indexOf(name) + 1] ?? '';
  const has = (name: string): boolean => words.includes(name);
  const ip = 'cluster-announce-ip';
  if (has(ip) && settingOf(ip) !== '' && settingOf(ip) !== host) return ip;
  return ['cluster-announce-port', 'cluster-announce-tls-port'].find(
    (name) => has(name) && settingOf(name) !== '0' && settingOf(name) !== String(port),
  );
}
