import type { Address } from './address.ts';
import { isSlot, type SlotRange } from './slot.ts';

/** A slot that a node has open: `migrating` to `peer`, or `importing` from `peer`. */
export interface OpenSlot {
  readonly slot: number;
  readonly direction: 'migrating' | 'importing';
  /** Node id of the other side. */
  readonly peer: string;
}

/** One line of CLUSTER NODES: what one node reports about a node. */
export interface NodeRecord {
  readonly id: string;
  /** `host` is empty when the node does not know it yet. */
  readonly address: Address;
  /** Announced host name, Redis 7.0 and later. */
  readonly hostname: string | null;
  /** As in CLUSTER NODES, including `myself`. */
  readonly flags: readonly string[];
  readonly role: 'master' | 'replica';
  readonly masterId: string | null;
  readonly configEpoch: number;
  readonly linkState: 'connected' | 'disconnected';
  readonly slots: readonly SlotRange[];
  readonly openSlots: readonly OpenSlot[];
}

/** The id of a node, that of its master, and the config epoch: they are written into plans and metrics. */
const FORM = /^[0-9a-f]{40} (?:-|[0-9a-f]{40}) \d{1,20}$/;

/**
 * Reads one line of CLUSTER NODES. Throws a TypeError on one that it cannot read.
 * Source: the CLUSTER NODES command page, "Serialization format".
 */
export function parseNodeLine(line: string): NodeRecord {
  const [id, where, flagText, master, , , epoch, link, ...ranges] = line.split(' ');
  const isRight = FORM.test(`${id} ${master} ${epoch}`);
  if (!isRight || !id || where === undefined || !flagText || !master || link === undefined)
    throw unreadable(line);
  const [endpoint = '', hostname] = where.split(',');
  const flags = flagText.split(',');
  const slots: SlotRange[] = [];
  const openSlots: OpenSlot[] = [];
  for (const range of ranges) {
    const open = /^\[(\d+)-([<>])-([0-9a-f]+)\]$/.exec(range);
    if (open) {
      const [, number, arrow, peer = ''] = open;
      const slot = Number(number);
      if (!isSlot(slot)) throw unreadable(line);
      openSlots.push({ slot, direction: arrow === '<' ? 'importing' : 'migrating', peer });
      continue;
    }
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    const first = Number(match?.[1] ?? Number.NaN);
    const last = Number(match?.[2] ?? first);
    if (!isSlot(first) || !isSlot(last) || first > last) throw unreadable(line);
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

function unreadable(line: string): TypeError {
  return new TypeError(`Cannot read a line of CLUSTER NODES: "${line.slice(0, 200)}"`);
}

// `ip:port@busport`. An IPv6 address has no brackets, the ip may be empty, and Redis 3 has no bus port.
function parseEndpoint(endpoint: string): Address {
  const match = /^(.*):(\d+)(?:@(\d+))?$/.exec(endpoint);
  if (!match) throw new TypeError(`Cannot read an address of CLUSTER NODES: "${endpoint}"`);
  const [, host = '', port, busPort] = match;
  return busPort === undefined
    ? { host, port: Number(port) }
    : { host, port: Number(port), busPort: Number(busPort) };
}

/** Number of slots that a record claims. */
export function countSlots(record: Pick<NodeRecord, 'slots'>): number {
  return record.slots.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** Every slot that a record claims, ascending. */
export function slotsOf(record: Pick<NodeRecord, 'slots'>): number[] {
  const slots: number[] = [];
  for (const [first, last] of record.slots) for (let slot = first; slot <= last; slot++) slots.push(slot);
  return slots;
}

/** True if a majority declared the node failed (`fail`). The suspicion of one node (`fail?`) does not count. */
export function isFailed(record: Pick<NodeRecord, 'flags'>): boolean {
  return record.flags.includes('fail');
}

/** True if the node that was asked flags the node `fail` or `fail?`. */
export function isSuspected(record: Pick<NodeRecord, 'flags'>): boolean {
  return record.flags.includes('fail') || record.flags.includes('fail?');
}

/** True if the node that was asked has a link to the node, or is opening one, and does not suspect it. */
export function hasLink(record: Pick<NodeRecord, 'flags' | 'linkState'>): boolean {
  return record.linkState === 'connected' && !isSuspected(record) && !record.flags.includes('noaddr');
}

/** True if the node is in handshake: its id is a placeholder. */
export function isInHandshake(record: Pick<NodeRecord, 'flags'>): boolean {
  return record.flags.includes('handshake');
}
