import { formatAddress, isHost, sameAddress } from '../model/address.ts';
import { conditionOf, misledAbout } from '../model/condition.ts';
import type { Next } from '../model/next.ts';
import type { ClusterView } from '../model/view.ts';
import { ifUnsettled, rejoining } from './condition-words.ts';
import { type Finding, listNames, namesOf } from './finding.ts';

/** Nodes that report cluster_state:fail. */
export function failingStates(view: ClusterView): Finding[] {
  const failing = [...view.reports.values()]
    .filter(({ info }) => info.state !== 'ok')
    .map(({ address }) => formatAddress(address));
  if (failing.length === 0) return [];
  const message = `cluster_state:fail on ${listNames(failing)}`;
  const hint =
    'Repair all other findings. A node that has just joined or come back serves after a few seconds';
  return [{ severity: 'error', kind: 'state-fail', message, nodes: failing, hint }];
}

/** Nodes that answer but have no cluster bus link to each other. */
export function downLinks(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  const misled = misledAbout(view);
  return [...view.reports.values()].flatMap((report): Finding[] => {
    const down = report.records.filter(
      ({ id, flags, linkState }) =>
        linkState !== 'connected' &&
        view.reports.has(id) &&
        !flags.includes('myself') &&
        !misled.get(id)?.includes(formatAddress(report.address)),
    );
    if (down.length === 0) return [];
    const name = formatAddress(report.address);
    const others = down.map(({ id }) => nameOf(id));
    const message = `${name} has no link to ${listNames(others)} on the cluster bus`;
    const hint = 'Let the nodes reach each other on the bus port, the client port + 10000 by default';
    const next = ifUnsettled(view, [name, ...others]);
    return [{ severity: 'warning', kind: 'link-down', message, nodes: [name, ...others], hint, next }];
  });
}

/** Nodes that list themselves at the address of another node: a server with their id has answered there. */
export function misplaced(view: ClusterView): Finding[] {
  return [...view.reports.values()].flatMap(({ address, myself, records }): Finding[] => {
    const other = records.find(
      ({ id, address: theirs }) =>
        id !== myself.id && view.reports.has(id) && theirs.host !== '' && sameAddress(theirs, myself.address),
    );
    if (!other) return [];
    const [name, there] = [formatAddress(address), formatAddress(other.address)];
    const message = `${name} lists itself at the address of ${there}: it redirects clients there for its slots`;
    const hint = 'A server with its node id was at that address for a while';
    const next: readonly Next[] = [rejoining(view, [name])];
    return [{ severity: 'warning', kind: 'nodes-disagree', message, nodes: [name, there], hint, next }];
  });
}

/** Nodes that announce something else than an address, so that neither clients nor other nodes find them. */
export function badAddresses({ reports }: Pick<ClusterView, 'reports'>): Finding[] {
  const found = new Map<string, Finding>();
  for (const { records, myself, address } of reports.values()) {
    for (const record of records) {
      const { host, port } = record.address;
      if (host === '' || isHost(host)) continue;
      // What is in front of the port, or what it has been reached at.
      const guess = /^\[?([^\]]+?)\]?:\d+$/.exec(host)?.[1] ?? host;
      const name = formatAddress(record.id === myself.id ? address : { host: guess, port });
      if (!found.has(record.id) || record.id === myself.id) found.set(record.id, badAddress(name, host));
    }
  }
  return [...found.values()];
}

/** The finding about a node that announces this host. */
export function badAddress(name: string, host: string): Finding {
  return {
    severity: 'error',
    kind: 'node-bad-address',
    message: `${name} announces ${JSON.stringify(host)} as its IP address: no other node finds it there (cluster-announce-ip)`,
    nodes: [name],
    hint: 'cluster-announce-ip takes an IP address alone; the port goes to cluster-announce-port',
    next: [{ do: 'configure', node: name, settings: ['cluster-announce-ip'] }],
  };
}

/** Config epochs shared by several masters with slots. */
export function epochCollisions(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  const byEpoch = new Map<number, string[]>();
  for (const { role, slots, configEpoch, id } of view.nodes) {
    if (role !== 'master' || slots.length === 0) continue;
    const held = byEpoch.get(configEpoch);
    if (held) held.push(nameOf(id));
    else byEpoch.set(configEpoch, [nameOf(id)]);
  }
  return [...byEpoch]
    .filter(([, nodes]) => nodes.length > 1)
    .map(([epoch, nodes]) => ({
      severity: 'warning',
      kind: 'epoch-collision',
      message: `Config epoch ${epoch} is held by ${listNames(nodes)}`,
      nodes,
      hint: 'The nodes resolve it as soon as they hear from one another',
      next: ifUnsettled(view, nodes),
    }));
}

/**
 * Nodes known by name only: in handshake, or without an address. A node that answers at such an address, and that no member knows yet,
 * is about to be one: the cluster is not as it will be, and the node itself does not serve yet.
 */
export function staleEntries(view: ClusterView, introduced: ReadonlySet<string> = new Set()): Finding[] {
  const isWiped = (id: string): boolean => conditionOf(view, id).kind === 'wiped';
  const noAddress = new Map<string, string[]>();
  const inHandshake = new Map<string, string[]>();
  const note = (map: Map<string, string[]>, key: string, observer: string): void => {
    const observers = map.get(key);
    if (observers) observers.push(observer);
    else map.set(key, [observer]);
  };
  for (const report of view.reports.values()) {
    const observer = formatAddress(report.address);
    for (const { id, flags, address } of report.records) {
      if ((flags.includes('noaddr') || address.host === '') && !view.reports.has(id) && !isWiped(id))
        note(noAddress, id, observer);
    }
    for (const { address } of report.inHandshake ?? []) {
      note(inHandshake, formatAddress(address), observer);
    }
  }
  return [
    ...[...noAddress].map(
      ([id, observers]): Finding => ({
        severity: 'warning',
        kind: 'node-no-address',
        message: `No address is known for node ${id} on ${listNames(observers)}`,
        nodes: [id, ...observers],
        next: [{ do: 'del-node', cluster: observers[0] ?? '', node: id, when: 'gone-for-good' }],
      }),
    ),
    ...[...inHandshake].map(
      ([address, observers]): Finding => ({
        severity: introduced.has(address) ? 'error' : 'info',
        kind: 'node-in-handshake',
        message: `${address} is in handshake with ${listNames(observers)}${introduced.has(address) ? ', and no member knows it yet' : ''}`,
        nodes: [address, ...observers],
        hint: 'It ends within cluster-node-timeout. If it comes back, make sure that both reach the bus port of the other',
      }),
    ),
  ];
}
