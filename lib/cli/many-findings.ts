import type { Finding, FindingKind } from '../findings/finding.ts';
import { listNames } from '../findings/finding.ts';
import { expandSlots, formatSlots, nameSlots } from '../model/slot.ts';

/** What many findings of one kind have in common, after their number: of slots, of nodes, or of findings. */
const SUMMARIES: Readonly<Record<FindingKind, readonly ['slots' | 'nodes' | 'findings', string]>> = {
  'slots-uncovered': ['slots', 'are not served by any node'],
  'slot-open': ['slots', 'are open'],
  'slots-contested': ['slots', 'are claimed by more than one master'],
  'keys-stray': ['nodes', 'hold keys of slots that they do not own'],
  'keys-uncounted': ['nodes', 'do not let keys be counted'],
  'duplicate-id': ['nodes', 'share node ids with others'],
  'node-unreachable': ['nodes', 'cannot be reached'],
  'nodes-disagree': ['findings', 'that nodes disagree, about'],
  'state-fail': ['nodes', 'report cluster_state:fail'],
  'node-failed': ['nodes', 'have failed'],
  'node-loading': ['nodes', 'are loading their data from disk'],
  'node-refuses': ['nodes', 'refuse what they are asked'],
  'node-moved': ['nodes', 'answer where others do not look for them'],
  'node-stranger': ['nodes', 'do not answer, and others answer at their addresses'],
  'node-wiped': ['nodes', 'are gone: other ids answer at their addresses'],
  'node-silent': ['nodes', 'do not report their replication and memory'],
  'node-no-address': ['nodes', 'have no known address'],
  'node-bad-address': ['nodes', 'announce an invalid IP address'],
  'node-in-handshake': ['nodes', 'are in handshake'],
  'link-down': ['nodes', 'have no link to some others on the cluster bus'],
  'epoch-collision': ['findings', 'of a config epoch that several masters have'],
  'master-without-replica': ['nodes', 'have no living replica, but other masters have one'],
  'replica-link-down': ['nodes', 'have no link to their master'],
  'replica-misdirected': ['findings', 'of a replica that asks for its master where that is not'],
  'replica-of-replica': ['findings', 'of a replica that copies another replica'],
  'shard-shared': ['findings', 'of a master without slots in the shard of another'],
  'replica-copying': ['nodes', 'are still copying their master'],
  'replica-lagging': ['nodes', 'are behind their master'],
  'replica-barred': ['nodes', 'are kept from taking over by a run that was cut short'],
  'replica-mark': ['nodes', 'show slots as open that their master does not'],
  'same-host': ['nodes', 'are on the same host as their master'],
  'same-zone': ['nodes', 'are in the same zone as their master'],
  'masters-same-host': ['findings', 'of a host with too many masters'],
  'masters-same-zone': ['findings', 'of a zone with too many masters'],
  'replicas-same-host': ['findings', 'of a host with several replicas of one master'],
  'replicas-same-zone': ['findings', 'of a zone with several replicas of one master'],
  'replicas-uneven': ['findings', 'of masters with more replicas than others'],
  'master-without-slots': ['nodes', 'are masters without slots'],
  'cannot-follow': ['nodes', 'could not replicate others after a failover'],
  'settings-differ': ['nodes', 'have other settings than most'],
  'users-differ': ['nodes', 'have other ACL users than most'],
  'functions-differ': ['nodes', 'have other functions than most masters'],
  'shards-differ': ['nodes', 'have another shard id than their master'],
  'memory-high': ['nodes', 'have used most of their maxmemory'],
  'memory-policy-differs': ['nodes', 'have another maxmemory-policy than most'],
  'version-differs': ['nodes', 'have another version than most'],
  'save-failing': ['nodes', 'could not save their data to disk'],
  'writes-refused': ['nodes', 'refuse every write for want of replicas'],
};

/** One line for many findings of one kind: how many, and which slots and nodes. */
export function summaryOf(findings: readonly Finding[]): string {
  const [noun, clause] = SUMMARIES[findings[0]?.kind ?? 'nodes-disagree'];
  const slots = new Set(findings.flatMap(({ slots: own = [] }) => expandSlots(own)));
  // The first node is the one that a finding is about. An open slot is about all.
  const nodes = [
    ...new Set(findings.flatMap(({ nodes: own }) => (noun === 'slots' ? own : own.slice(0, 1)))),
  ];
  const where = listNames(nodes);
  const which = slots.size > 0 ? nameSlots(slots) : '';
  if (noun === 'slots') {
    const on = where === '' ? '' : `, on ${where}`;
    return `${slots.size} slots ${clause}: ${formatSlots(slots)}${on}`;
  }
  const count = noun === 'nodes' ? nodes.length : findings.length;
  return `${count} ${noun} ${clause}: ${[where, which].filter((text) => text !== '').join('; ')}`;
}
