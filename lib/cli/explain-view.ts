import { Buffer } from 'node:buffer';
import { formatBytes, formatKey } from '../model/bytes.ts';
import type { Explanation } from '../operations/explain.ts';
import { findingsText } from './check-view.ts';
import { count, duration } from './figures.ts';
import type { FlagValues } from './flags.ts';
import type { Outcome } from './outcome.ts';

type Of<Kind> = Extract<Explanation, { readonly kind: Kind }>;

/** The data of `explain`. The document has a `version` of its own. */
export type ExplainData = Of<'key'> | Of<'slot'> | ExplainedNode;

interface ExplainedNode extends Omit<Of<'node'>, 'version'> {
  /** Such as `Redis 8.6.0`; null if it does not say. */
  readonly server: string | null;
}

/** Numbers, addresses and ids. */
const LOOKS_ELSE = /^(?:\d+|[\d.]+:\d+|[0-9a-f]{40})$/;

/** Outcome of `explain`: it is done when something is known, however bad that is. */
export async function explained(explanation: Explanation, values: FlagValues): Promise<Outcome<ExplainData>> {
  const lines = explanation.kind === 'node' ? nodeLines(explanation) : slotLines(explanation);
  if (explanation.kind === 'key' && values.as === undefined && LOOKS_ELSE.test(explanation.key))
    lines.push('  No slot or node is called that: it was taken for a key');
  const found = await findingsText(explanation.findings, values);
  return { ok: true, text: [...lines, ...found].join('\n'), data: dataOf(explanation) };
}

function dataOf(explanation: Explanation): ExplainData {
  if (explanation.kind !== 'node') return explanation;
  const { version, ...node } = explanation;
  return { ...node, server: version };
}

function slotLines(explanation: Of<'key'> | Of<'slot'>): string[] {
  const { slot, owner, isServed, replicas, alsoClaimedBy, open } = explanation;
  const keys =
    explanation.kind === 'slot' && explanation.keys !== null
      ? `, with ${count(explanation.keys, 'key')}`
      : '';
  return [
    ...(explanation.kind === 'key' ? [keyLine(explanation)] : []),
    owner === null
      ? `Slot ${slot} belongs to no node`
      : `Slot ${slot} belongs to ${owner}${isServed ? '' : ', which does not serve it'}${keys}`,
    ...(owner === null
      ? []
      : [replicas.length === 0 ? '  No replica' : `  Replicas: ${replicas.join(', ')}`]),
    ...alsoClaimedBy.map((node) => `  ${node} claims it, too, with a lower config epoch`),
    ...open.map(({ node, direction, peer }) =>
      direction === 'migrating'
        ? `  ${node} is migrating it to ${peer}`
        : `  ${node} is importing it from ${peer}`,
    ),
    ...(explanation.kind === 'key' ? [`  ${contentOf(explanation)}`] : []),
  ];
}

function keyLine({ key, hashTag, slot }: Of<'key'>): string {
  const by = hashTag === null ? '' : `, by its hash tag ${quoted(hashTag)}`;
  return `Key ${quoted(key)} is in slot ${slot}${by}`;
}

function contentOf({ at, exists, type, encoding, bytes, ttlMs }: Of<'key'>): string {
  if (exists === null) return 'Whether the key exists is not known: the node does not say';
  if (!exists) return 'The key does not exist';
  const what = [
    `${type}${encoding === null ? '' : ` (${encoding})`}`,
    ...(bytes === null ? [] : [formatBytes(bytes)]),
    ttlMs === null ? 'does not expire' : `expires in ${duration(ttlMs)}`,
  ];
  return `The key is on ${at}: ${what.join(', ')}`;
}

function nodeLines(node: Of<'node'>): string[] {
  const { id, condition, role, master, replicas, slots, slotCount, version, keys, usedMemory, lagBytes } =
    node;
  const place =
    role === 'master'
      ? `master of ${slotCount === 0 ? 'no slots' : `slots ${slots} (${slotCount})`}`
      : `replica of ${master ?? 'no node'}`;
  return [
    `Node ${node.node} is a ${place}`,
    `  Id ${id}, config epoch ${node.configEpoch}`,
    `  Condition: ${condition}${version === null ? '' : `; ${version}`}`,
    ...(keys === null || usedMemory === null
      ? []
      : [`  ${count(keys, 'key')}, ${formatBytes(usedMemory)} of memory`]),
    ...(role === 'master'
      ? [replicas.length === 0 ? '  No replica' : `  Replicas: ${replicas.join(', ')}`]
      : []),
    ...(lagBytes === null ? [] : [`  ${formatBytes(lagBytes)} behind its master`]),
  ];
}

// Keys are latin1 elsewhere, one character a byte.
function quoted(text: string): string {
  return formatKey(Buffer.from(text).toString('latin1'));
}
