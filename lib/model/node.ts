import type { Address } from './address.ts';
import { isSlot, SLOT_COUNT, type SlotRange } from './slot.ts';

/** A slot that a node is giving away (`migrating`, to `peer`) or taking over (`importing`, from `peer`). */
export interface OpenSlot {
  readonly slot: number;
  readonly direction: 'migrating' | 'importing';
  /** Node id of the other side. */
  readonly peer: string;
}

/** One line of CLUSTER NODES: what one node believes about a node. */
export interface NodeRecord {
  readonly id: string;
  /** `host` is empty when the node does not know it yet. */
  readonly address: Address;
  /** Announced host name, Redis 7.0 and later. */
  readonly hostname: string | null;
  /** As the server writes them, `myself` included. */
  readonly flags: readonly string[];
  readonly role: 'master' | 'replica';
  readonly masterId: string | null;
  readonly configEpoch: number;
  readonly linkState: 'connected' | 'disconnected';
  readonly slots: readonly SlotRange[];
  readonly openSlots: readonly OpenSlot[];
}

/**
 * Reads the reply of CLUSTER NODES. Lines of nodes still in handshake are kept: their id is not final.
 * Throws a TypeError on a line it cannot read.
 * Source: the CLUSTER NODES command page, "Serialization format".
 */
export function parseClusterNodes(text: string): NodeRecord[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map(parseNodeLine);
}

/** Reads one line of CLUSTER NODES. */
export function parseNodeLine(line: string): NodeRecord {
  const [id, where, flagText, master, , , epoch, link, ...ranges] = line.split(' ');
  if (!id || where === undefined || !flagText || !master || epoch === undefined || link === undefined) {
    throw new TypeError(`Cannot read a line of CLUSTER NODES: "${line.slice(0, 200)}"`);
  }
  const [endpoint = '', hostname] = where.split(',');
  const flags = flagText.split(',');
  const slots: SlotRange[] = [];
  const openSlots: OpenSlot[] = [];
  for (const range of ranges) {
    const open = /^\[(\d+)-([<>])-([0-9a-f]+)\]$/.exec(range);
    if (open) {
      const [, slot, arrow, peer = ''] = open;
      openSlots.push({ slot: Number(slot), direction: arrow === '<' ? 'importing' : 'migrating', peer });
      continue;
    }
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    const first = Number(match?.[1] ?? Number.NaN);
    const last = Number(match?.[2] ?? first);
    if (!isSlot(first) || !isSlot(last) || first > last) {
      throw new TypeError(`Cannot read a line of CLUSTER NODES: "${line.slice(0, 200)}"`);
    }
    slots.push([first, last]);
  }
  return {
    id,
    address: parseEndpoint(endpoint),
    hostname: hostname || null,
    flags,
    role: flags.includes('master') ? 'master' : 'replica',
    masterId: master === '-' ? null : master,
    configEpoch: Number(epoch),
    linkState: link === 'connected' ? 'connected' : 'disconnected',
    slots,
    openSlots,
  };
}

// `ip:port@busport`; the ip is bare even for IPv6 and may be empty, and Redis 3 has no bus port.
function parseEndpoint(endpoint: string): Address {
  const match = /^(.*):(\d+)(?:@(\d+))?$/.exec(endpoint);
  if (!match) throw new TypeError(`Cannot read an address of CLUSTER NODES: "${endpoint}"`);
  const [, host = '', port, busPort] = match;
  return busPort === undefined
    ? { host, port: Number(port) }
    : { host, port: Number(port), busPort: Number(busPort) };
}

/** How many slots a record claims. */
export function countSlots(record: Pick<NodeRecord, 'slots'>): number {
  return record.slots.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** Every slot a record claims, ascending. */
export function slotsOf(record: Pick<NodeRecord, 'slots'>): number[] {
  const slots: number[] = [];
  for (const [first, last] of record.slots) for (let slot = first; slot <= last; slot++) slots.push(slot);
  return slots;
}

/** True if the majority has declared the node failed; `fail?`, one node's suspicion, does not count. */
export function isFailed(record: Pick<NodeRecord, 'flags'>): boolean {
  return record.flags.includes('fail');
}

/** True if the node is failed or suspected by the node that was asked. */
export function isSuspected(record: Pick<NodeRecord, 'flags'>): boolean {
  return record.flags.includes('fail') || record.flags.includes('fail?');
}

/** True while the node is only being introduced: its id is a placeholder. */
export function isInHandshake(record: Pick<NodeRecord, 'flags'>): boolean {
  return record.flags.includes('handshake');
}

/** True if these records leave no slot without an owner. */
export function coversAllSlots(records: Iterable<Pick<NodeRecord, 'slots'>>): boolean {
  const covered = new Uint8Array(SLOT_COUNT);
  for (const record of records) for (const [first, last] of record.slots) covered.fill(1, first, last + 1);
  return !covered.includes(0);
}
