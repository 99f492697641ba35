/** What `demo --break` takes, under the headings of docs/findings.md. What each of them is, is loaded only when it is asked for. */
export const SLOT_BREAKS = [
  'slots-uncovered',
  'dead-master',
  'slot-open',
  'slots-contested',
  'keys-stray',
  'keys-uncounted',
] as const;
export const NODE_BREAKS = [
  'node-unreachable',
  'node-failed',
  'node-loading',
  'node-refuses',
  'node-moved',
  'node-stranger',
  'node-wiped',
  'duplicate-id',
  'node-no-address',
  'node-bad-address',
  'node-in-handshake',
  'node-silent',
] as const;
export const MEMBER_BREAKS = ['nodes-disagree', 'link-down', 'epoch-collision'] as const;
export const REPLICA_BREAKS = [
  'master-without-replica',
  'replica-link-down',
  'replica-misdirected',
  'replica-of-replica',
  'shard-shared',
  'replica-copying',
  'replica-barred',
  'replica-lagging',
  'replica-mark',
  'cannot-follow',
] as const;
export const LAYOUT_BREAKS = [
  'same-zone',
  'masters-same-zone',
  'replicas-same-zone',
  'replicas-uneven',
  'master-without-slots',
  'shards-differ',
] as const;
export const SERVER_BREAKS = [
  'settings-differ',
  'users-differ',
  'functions-differ',
  'memory-high',
  'memory-policy-differs',
  'save-failing',
  'writes-refused',
] as const;

export type BreakName =
  | (typeof SLOT_BREAKS)[number]
  | (typeof NODE_BREAKS)[number]
  | (typeof MEMBER_BREAKS)[number]
  | (typeof REPLICA_BREAKS)[number]
  | (typeof LAYOUT_BREAKS)[number]
  | (typeof SERVER_BREAKS)[number];

export const BREAKS: readonly BreakName[] = [
  ...SLOT_BREAKS,
  ...NODE_BREAKS,
  ...MEMBER_BREAKS,
  ...REPLICA_BREAKS,
  ...LAYOUT_BREAKS,
  ...SERVER_BREAKS,
];
