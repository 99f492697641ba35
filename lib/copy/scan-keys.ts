import { type Connection, ConnectionError, ReplyError } from '../../resp/index.ts';
import { formatAddress } from '../model/address.ts';
import { expandSlots, nameSlots, slotOfKey } from '../model/slot.ts';
import { type ClusterView, nodeById, slotOwners } from '../model/view.ts';
import { unlessAborted } from '../nodes/abort.ts';
import type { Context } from '../nodes/context.ts';
import { inParallelToEnd } from '../nodes/parallel.ts';
import { ServerClock } from '../nodes/server-clock.ts';
import { notReached } from '../nodes/wait-until.ts';
import { hasKeptMaster, type KeySource, lookAgain, nodesToRead, type SourceNode } from './key-source.ts';
import { type Listing, type Lot, listKeys, type OnElsewhere } from './read-keys.ts';
import { PASSING } from './write-keys.ts';

/** What keys of a node are read by. */
export interface KeyReader {
  /** A connection to the node that they are on, for one lot alone. */
  readonly reader: Connection;
  readonly clock: ServerClock;
}

/** Keys of one database that are read at once. */
export interface KeyLot extends Lot, KeyReader {
  readonly db: number;
  /** Takes keys that this node does not serve now; undefined for a standalone server, whose errors are final. */
  readonly onElsewhere: OnElsewhere | undefined;
  /** True if keys of its slots were read before, and their node was another or may have lost them. */
  readonly isAgain: boolean;
}

/** What to do with all keys of a server or a cluster. */
export interface KeyScan {
  /** What the keys are read for, as it reads after "Cannot": "import from 127.0.0.1:7000". */
  readonly what: string;
  readonly databases: readonly number[];
  /** How to list them; which slots are listed is known here. */
  readonly listing: Omit<Listing, 'accepts'>;
  /** Called for several lots at once. */
  readonly visit: (lot: KeyLot) => Promise<void>;
  /** Called before keys of these slots are read again. */
  readonly onAgain?: (slots: readonly number[]) => void;
}

/** Connections that read from one server, besides the one that lists its keys. */
const [OF_A_SERVER, OF_A_NODE] = [3, 2];
/** Nodes that are read in parallel. */
const MOST_NODES = 8;
/** How often the cluster is read if slots or masters keep changing. */
const MOST_PASSES = 6;
/** Lane 0 is for looking. */
const [LISTER, READER] = [2, 3];

/**
 * Visits every key that exists throughout, some of them twice. Slots of a cluster that had another owner after the scan than
 * before, or whose owner may have lost and regained them, are scanned again. Rejects with ClusterError `NOT_REACHED` if that never
 * ends, and with what is wrong if the source is no longer served whole.
 */
export async function scanKeys(source: KeySource, scan: KeyScan): Promise<void> {
  const started = performance.now();
  let view = source.view;
  let wanted: ReadonlySet<number> | undefined;
  for (let pass = 1; ; pass++) {
    const cutShort = await scanNodes(source, scan, view, wanted);
    if (!view) return;
    const after = await lookAgain(source, view, scan.what);
    const again = slotsToReadAgain(view, after, cutShort).filter((slot) => wanted?.has(slot) ?? true);
    if (again.length === 0) return;
    if (pass === MOST_PASSES) {
      const missing = [`${nameSlots(again)} have moved again`];
      const elapsedMs = performance.now() - started;
      throw notReached('slots of the source to stay where they are', elapsedMs, missing, {
        address: source.name,
        hint: 'Let its slots move first. Keys that were read are done',
      });
    }
    scan.onAgain?.(again);
    wanted = new Set(again);
    view = after;
  }
}

/**
 * Slots of which keys may have been missed between these two looks. A slot that leaves its owner and comes back raises the owner's
 * config epoch (clusterBumpConfigEpochWithoutConsensus): then all slots of that owner are in doubt.
 */
export function slotsToReadAgain(
  before: ClusterView,
  after: ClusterView,
  cutShort: ReadonlySet<number>,
): number[] {
  const [was, is] = [slotOwners(before), slotOwners(after)];
  const epochOf = (view: ClusterView, id: string | undefined): number | undefined =>
    id === undefined ? undefined : nodeById(view, id)?.configEpoch;
  const hasChanged = new Set([...new Set(was)].filter((id) => epochOf(before, id) !== epochOf(after, id)));
  return expandSlots([[0, was.length - 1]]).filter(
    (slot) => cutShort.has(slot) || was[slot] !== is[slot] || hasChanged.has(was[slot]),
  );
}

async function scanNodes(
  source: KeySource,
  scan: KeyScan,
  view: ClusterView | undefined,
  wanted: ReadonlySet<number> | undefined,
): Promise<Set<number>> {
  const cutShort = new Set<number>();
  const owners = view ? slotOwners(view) : [];
  const nodes = (await nodesToRead(source, view)).filter(
    ({ master }) => !master || !wanted || owners.some((id, slot) => id === master.id && wanted.has(slot)),
  );
  const work = async (node: SourceNode, signal: AbortSignal): Promise<void> => {
    const { master, address } = node;
    const isWanted = (slot: number): boolean => owners[slot] === master?.id && (wanted?.has(slot) ?? true);
    const cutAll = (): void => {
      for (const slot of expandSlots(master?.slots ?? [])) if (isWanted(slot)) cutShort.add(slot);
    };
    try {
      await scanNode({ ...source.context, signal }, node, {
        scan,
        accepts: master ? isWanted : undefined,
        onElsewhere: master ? (key) => cutShort.add(slotOfKey(key)) : undefined,
        isAgain: wanted !== undefined,
      });
      if (!(await hasKeptMaster(source.context, node))) cutAll();
    } catch (error) {
      if (!master || !isOfNode(error, formatAddress(address))) throw error;
      cutAll();
    } finally {
      // A lot that was cut short may have left keys watched.
      await source.context.connections.closeLanes(address);
    }
  };
  await inParallelToEnd(nodes, work, MOST_NODES, source.context.signal);
  return cutShort;
}

// It may have failed over since.
function isOfNode(error: unknown, name: string): boolean {
  if (error instanceof ConnectionError) return error.address === name;
  return error instanceof ReplyError && error.address === name && PASSING.has(error.code);
}

interface NodeScan {
  readonly scan: KeyScan;
  readonly accepts: ((slot: number) => boolean) | undefined;
  readonly onElsewhere: OnElsewhere | undefined;
  readonly isAgain: boolean;
}

async function scanNode(
  { connections, signal }: Context,
  { address, master, isReplica }: SourceNode,
  { scan, accepts, onElsewhere, isAgain }: NodeScan,
): Promise<void> {
  const open = async (lane: number): Promise<Connection> => {
    const connection = await unlessAborted(connections.get(address, lane), signal);
    if (isReplica) await connection.command(['READONLY']);
    return connection;
  };
  const lister = await open(LISTER);
  const clock = new ServerClock(connections, address);
  const readers = await Promise.all(
    Array.from({ length: master ? OF_A_NODE : OF_A_SERVER }, (_, index) => open(READER + index)),
  );
  const listing = { ...scan.listing, ...(accepts ? { accepts } : {}) };
  for (const db of scan.databases) {
    for (const reader of readers) await reader.command(['SELECT', db]);
    const ahead = listKeys(lister, db, listing);
    let isOver = false;
    // Each reader takes the next lot when it is done with the last. If one fails, the others finish their lot and stop.
    const ends = await Promise.allSettled(
      readers.map(async (reader) => {
        try {
          while (!isOver) {
            signal?.throwIfAborted();
            const { value: lot, done } = await ahead.next();
            if (done) return;
            await scan.visit({ db, ...lot, reader, clock, onElsewhere, isAgain });
          }
        } finally {
          isOver = true;
        }
      }),
    );
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
  }
}
