import { formatAddress, sameAddress } from './address.ts';
import { type Finding, listNames, namesOf } from './finding.ts';
import type { ClusterView } from './view.ts';

/** Nodes that say cluster_state:fail. */
export function failingStates(view: ClusterView): Finding[] {
  const failing = [...view.reports.values()]
    .filter(({ info }) => info.state !== 'ok')
    .map(({ address }) => formatAddress(address));
  if (failing.length === 0) return [];
  const message = `cluster_state:fail on ${listNames(failing)}`;
  const hint = 'Mend what else is found; a node that has just joined or come back serves after a few seconds';
  return [{ severity: 'error', kind: 'state-fail', message, nodes: failing, hint }];
}

/** Nodes that answer but have no link to one another on the cluster bus. */
export function downLinks(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  return [...view.reports.values()].flatMap((report): Finding[] => {
    const down = report.records.filter(
      ({ id, flags, linkState }) =>
        linkState !== 'connected' && view.reports.has(id) && !flags.includes('myself'),
    );
    if (down.length === 0) return [];
    const name = formatAddress(report.address);
    const others = down.map(({ id }) => nameOf(id));
    const message = `${name} has no link to ${listNames(others)} on the cluster bus`;
    const hint = 'Let the nodes reach each other on the bus port, the client port + 10000 by default';
    return [{ severity: 'warning', kind: 'link-down', message, nodes: [name, ...others], hint }];
  });
}

/** Nodes that list themselves at the address of another: a server that had their id has answered there. */
export function misplaced(view: ClusterView): Finding[] {
  return [...view.reports.values()].flatMap(({ address, myself, records }): Finding[] => {
    const other = records.find(
      ({ id, address: theirs }) =>
        id !== myself.id && view.reports.has(id) && theirs.host !== '' && sameAddress(theirs, myself.address),
    );
    if (!other) return [];
    const [name, there] = [formatAddress(address), formatAddress(other.address)];
    const message = `${name} lists itself at the address of ${there}: it sends clients there for its slots`;
    const hint = 'Restart it: a server with its node id was at that address for a while';
    return [{ severity: 'warning', kind: 'nodes-disagree', message, nodes: [name, there], hint }];
  });
}

/** Config epochs that two masters with slots hold. */
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
      hint: `The nodes settle it by themselves; if it stays: redis-cli -h HOST -p PORT CLUSTER BUMPEPOCH on ${nodes.at(-1)}`,
    }));
}

/** Nodes of which only a name is left: in handshake, or without an address. */
export function ghosts(view: ClusterView): Finding[] {
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
      if ((flags.includes('noaddr') || address.host === '') && !view.reports.has(id))
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
        hint: `If it is gone for good: redis-trib del_node ${observers[0]} ${id}`,
      }),
    ),
    ...[...inHandshake].map(
      ([address, observers]): Finding => ({
        severity: 'info',
        kind: 'node-in-handshake',
        message: `${address} is in handshake with ${listNames(observers)}`,
        nodes: [address, ...observers],
        hint: 'It passes within cluster-node-timeout; if it comes back, check that both reach the bus port of the other',
      }),
    ),
  ];
}
