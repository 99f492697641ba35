import { ReplyError } from '../../resp/index.ts';
import { BackupFolder, MANIFEST } from '../apply/backup/files.ts';
import {
  type BackupFile,
  type BackupManifest,
  fileNameOf,
  MANIFEST_VERSION,
} from '../apply/backup/manifest.ts';
import { BackupProgressTally } from '../apply/backup/progress.ts';
import { receiveRdb } from '../apply/backup/receive-rdb.ts';
import { type Context, nodeError } from '../apply/context.ts';
import { look } from '../apply/look.ts';
import { askInfo, serverVersion } from '../apply/node-info.ts';
import { inParallelToEnd } from '../apply/parallel.ts';
import { lookSettled, requireClosed, requireServing } from '../apply/settle.ts';
import { ClusterError, messageOf } from '../errors.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { formatRanges, formatSlots, slotsWhere } from '../model/slot.ts';
import { type ClusterView, openSlotsOf, reachableMasters, slotOwners } from '../model/view.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface BackupOptions extends ConnectionOptions, ControlOptions {
  /** The directory to write to: empty, or not there yet while the one above it is. */
  readonly dir: string;
  /** Masters that are copied at one time; each forks to make its snapshot. @default 4 */
  readonly concurrency?: number;
  /** Milliseconds a master may send nothing before it is given up. It does send while it makes its snapshot. @default 60000 */
  readonly idleTimeout?: number;
  /** Milliseconds to wait at first until the nodes agree. @default 60000 */
  readonly agreeTimeout?: number;
  /** Goes on where slots are open, are not served, or move meanwhile: keys may be missing then, or twice in it. @default false */
  readonly force?: boolean;
}

/** What was saved. */
export interface BackupResult {
  readonly dir: string;
  /** As it stands in `manifest.json`. */
  readonly manifest: BackupManifest;
  /** Bytes of all files. */
  readonly bytes: number;
  /** Milliseconds for all of it. */
  readonly elapsedMs: number;
}

/**
 * Saves a snapshot (RDB) of every master into a directory, with a manifest that names them and their checksums. Each snapshot is of
 * one moment, all of them together are not.
 * Rejects with ClusterError `DIRECTORY_NOT_EMPTY`, `FILE_FAILED`, `SLOTS_UNCOVERED`, `OPEN_SLOT`, or `BACKUP_FAILED` where a master
 * gives no snapshot or slots moved meanwhile. Whatever it rejects with, nothing is left in the directory.
 */
export function backupCluster(cluster: ClusterLike, options: BackupOptions): Promise<BackupResult> {
  return withContext(cluster, options, async (context) => {
    const started = performance.now();
    const folder = new BackupFolder(options.dir);
    await folder.claim();
    try {
      const date = new Date().toISOString();
      const view = await lookSettled(context, seedOf(cluster));
      const problems = findProblems(view, options);
      const masters = await saveAll(context, view, folder, options);
      problems.push(...(await findMoved(context, view, options)));
      const manifest: BackupManifest = { version: MANIFEST_VERSION, date, problems, masters };
      await folder.write(MANIFEST, `${JSON.stringify(manifest, null, 2)}\n`);
      const bytes = masters.reduce((sum, file) => sum + file.bytes, 0);
      return { dir: options.dir, manifest, bytes, elapsedMs: performance.now() - started };
    } catch (error) {
      await folder.clear();
      throw error;
    }
  });
}

// What would make the backup one of half the keys. With `force` it is only written down.
function findProblems(view: ClusterView, { force }: BackupOptions): string[] {
  const problems: string[] = [];
  for (const require of [requireServing, requireClosed]) {
    try {
      require(view, 'back up');
    } catch (error) {
      if (!force || !(error instanceof ClusterError)) throw error;
      const open = error.openSlots.length > 0 ? ` ${formatSlots(error.openSlots)}` : '';
      problems.push(`${error.message}${open}`);
    }
  }
  return problems;
}

async function saveAll(
  context: Context,
  view: ClusterView,
  folder: BackupFolder,
  options: BackupOptions,
): Promise<BackupFile[]> {
  const { createHash } = await import('node:crypto');
  const masters = reachableMasters(view).sort(
    (a, b) => (a.slots[0]?.[0] ?? Infinity) - (b.slots[0]?.[0] ?? Infinity),
  );
  const tally = new BackupProgressTally(context, masters.length);
  const save = async (master: NodeRecord, signal: AbortSignal): Promise<BackupFile> => {
    const name = formatAddress(master.address);
    const file = fileNameOf(name, master.id);
    const server = serverVersion(await askInfo(context.connections, master.address, ['server']));
    const part = await folder.begin(file);
    try {
      const hash = createHash('sha256');
      let bytes = 0;
      await receiveRdb(context.connections, master.address, {
        server,
        idleTimeout: options.idleTimeout ?? 60_000,
        signal,
        take: async (piece, total) => {
          hash.update(piece);
          bytes += piece.length;
          tally.add(name, piece.length, total);
          await part.write(piece);
        },
      });
      await part.finish();
      tally.finish();
      context.emit({ type: 'backup-saved', node: name, file, bytes });
      const slots = formatRanges(master.slots);
      return { id: master.id, address: name, slots, server, file, bytes, sha256: hash.digest('hex') };
    } finally {
      await part.close();
    }
  };
  const saveOrSay = (master: NodeRecord, signal: AbortSignal): Promise<BackupFile> =>
    save(master, signal).catch((error: unknown) => {
      throw signal.aborted ? signal.reason : failed(master.address, error);
    });
  return inParallelToEnd(masters, saveOrSay, options.concurrency ?? 4, context.signal);
}

function failed(address: Address, error: unknown): Error {
  if (error instanceof ClusterError || (error instanceof ReplyError && error.code === 'NOPERM')) return error;
  const name = formatAddress(address);
  return nodeError('BACKUP_FAILED', name, `Cannot back up ${name}: ${messageOf(error)}`, {
    hint: 'There is no backup: no manifest was written, and the files of the others are removed. Run the same command again when that is mended',
    resumable: true,
    cause: error,
  });
}

// A slot that went from a master whose snapshot was still to be made to one whose was made already is in neither.
async function findMoved(context: Context, before: ClusterView, { force }: BackupOptions): Promise<string[]> {
  const after = await look(context.connections, before.seed, context.signal);
  const [was, is] = [slotOwners(before), slotOwners(after)];
  const [wasOpen, open] = [openSlotsOf(before), openSlotsOf(after)];
  const moved = slotsWhere((slot) => was[slot] !== is[slot] || (open.has(slot) && !wasOpen.has(slot)));
  if (moved.length === 0) return [];
  const problem = `slots ${formatSlots(moved)} moved, or began to, while the snapshots were made`;
  if (force) return [problem];
  throw new ClusterError('BACKUP_FAILED', `Cannot back up: ${problem}`, {
    hint: 'There is no backup: no manifest was written, and the files are removed. Run the same command again when nothing moves',
    resumable: true,
  });
}
