import { ClusterError } from '../errors.ts';
import { badAddress, badAddresses } from '../findings/bus-findings.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import type { Finding } from '../findings/finding.ts';
import { bringingBack, describeUncovered, uncoveredSlots } from '../findings/findings.ts';
import { type Address, formatAddress, isHost } from '../model/address.ts';
import { goneNodes, misledAbout } from '../model/condition.ts';
import { openOn } from '../model/holders.ts';
import { slotsAre } from '../model/slot.ts';
import { type ClusterView, type NodeReport, nodeName, openSlotsOf } from '../model/view.ts';
import { nodeError } from './context.ts';

/** Throws unless the node that was asked first is in a cluster. */
export function requireMember(view: ClusterView, hint?: string): void {
  const report = view.reports.get(view.seedId);
  if (report && (report.info.state === 'ok' || report.info.slotsAssigned > 0)) return;
  const name = formatAddress(view.seed);
  throw nodeError('NOT_IN_CLUSTER', name, `Node ${name} is not in a cluster`, {
    ...(hint === undefined ? { next: [{ do: 'start', node: name }] } : { hint }),
  });
}

/** The error for a replica where a master is wanted; `cannot` says what cannot be done. */
export function notAMaster(
  address: Address | string,
  cannot: string,
  hint: string,
  master?: string,
): ClusterError {
  const whose = master === undefined ? '' : ` of ${master}`;
  return nodeError('NOT_A_MASTER', address, `${cannot}: it is a replica${whose}`, { hint });
}

/** Throws unless every slot is served and every node answers, except for those that the others consider failed. */
export function requireServing(view: ClusterView, what: string): void {
  requireAnswers(view, what);
  const uncovered = uncoveredSlots(view);
  if (uncovered.length > 0) {
    throw new ClusterError('SLOTS_UNCOVERED', `Cannot ${what}: ${describeUncovered(uncovered)}`, {
      next: bringingBack(view, uncovered),
    });
  }
}

/** Throws if a slot is open: a key of it may be on either of two nodes. */
export function requireClosed(view: ClusterView, what: string): void {
  const open = [...openSlotsOf(view).keys()];
  if (open.length === 0) return;
  const where = openOn(view, open).join(' and ');
  throw new ClusterError('OPEN_SLOT', `Cannot ${what}: ${slotsAre(open)} open on ${where}`, {
    openSlots: open,
    next: [{ do: 'fix', cluster: formatAddress(view.seed) }],
  });
}

/** Throws if a node that is to become a member announces something that is not an address. */
export function requireAddress({ address, myself }: NodeReport, what: string): void {
  const { host } = myself.address;
  if (host !== '' && !isHost(host)) throw unreachableByOthers(badAddress(formatAddress(address), host), what);
}

function unreachableByOthers(
  { message, hint, next, nodes: [name = ''] }: Finding,
  what: string,
): ClusterError {
  return nodeError('NODE_UNREACHABLE', name, `Cannot ${what}: ${message}`, {
    hint: `Nothing was changed. ${hint}`,
    next: [...(next ?? []), { do: 'retry', when: 'repaired' }],
  });
}

/** Throws if members do not know where another is: they send its clients to the wrong place. */
export function requireFound(view: ClusterView): void {
  const [first] = misledAbout(view);
  if (!first) return;
  const [id, misled] = first;
  const name = nodeName(view, id);
  const { says, next } = wordsOnCondition(view, id);
  throw new ClusterError('NODES_DISAGREE', `Not all members find one another: ${name} ${says}`, {
    address: misled[0],
    hint: 'The slots are in order, but clients that ask these members are sent to the wrong place',
    next,
  });
}

/** Throws if a node that is not gone does not answer: it could not be told of the change. */
export function requireAnswers(view: ClusterView, what: string): void {
  const [bad] = badAddresses(view);
  if (bad) throw unreachableByOthers(bad, what);
  const gone = new Set(goneNodes(view));
  for (const [id, error] of view.unreachable) {
    if (gone.has(id)) continue;
    const name = nodeName(view, id);
    const { says, hint, next } = wordsOnCondition(view, id);
    throw new ClusterError('NODE_UNREACHABLE', `Cannot ${what}: ${name} ${says}`, {
      address: name,
      hint: ['Nothing was changed', ...(hint ? [hint] : [])].join('. '),
      next,
      cause: error,
    });
  }
}
