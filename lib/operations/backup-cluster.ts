import { ReplyError } from '../../resp/index.ts';
import { BackupTally } from '../copy/backup/backup-tally.ts';
import { BackupFolder, MANIFEST } from '../copy/backup/files.ts';
import {
  type BackupFile,
  type BackupManifest,
  fileNameOf,
  MANIFEST_VERSION,
} from '../copy/backup/manifest.ts';
import { receiveRdb } from '../copy/backup/receive-rdb.ts';
import { slotsToReadAgain } from '../copy/scan-keys.ts';
import { ClusterError, messageOf } from '../errors.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { holdersOf } from '../model/holders.ts';
import type { NodeRecord } from '../model/node.ts';
import { formatRanges, formatSlots, nameSlots } from '../model/slot.ts';
import { type ClusterView, openSlotsOf, reachableMasters, slotOwners } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import { inParallelToEnd } from '../nodes/parallel.ts';
import { requireClosed, requireServing } from '../nodes/requirements.ts';
import { askServer } from '../nodes/server.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';
import { DEFAULTS } from '../settings.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';

export interface BackupOptions extends ConnectionOptions, ControlOptions {
  /** The directory to write to: empty, or to be created in an existing directory. */
  readonly dir: string;
  /** Masters copied at once; each forks to make its snapshot. @default 4 */
  readonly concurrency?: number;
  /** Milliseconds without data from a master before giving up. A master sends data while it makes its snapshot. @default 60000 */
  readonly idleTimeout?: number;
  /** Milliseconds to wait at the start for the nodes to agree. @default 60000 */
  readonly agreeTimeout?: number;
  /** Proceed even if slots are open, not served, or move during the backup: keys may be missing or duplicated. @default false */
  readonly force?: boolean;
}

/** The backup written. */
export interface BackupResult {
  readonly dir: string;
  /** The content of `manifest.json`. */
  readonly manifest: BackupManifest;
  /** Size of all files in bytes. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly elapsedMs: number;
}

/**
 * Saves a snapshot (RDB) of every master to a directory, with a manifest of the files and their checksums. Each snapshot is
 * consistent in itself, but they are not of the same moment.
 * Rejects with ClusterError `DIRECTORY_NOT_EMPTY`, `FILE_FAILED`, `SLOTS_UNCOVERED`, `OPEN_SLOT`, or `BACKUP_FAILED` if a
 * master sends no snapshot or slots moved during the backup. It then leaves nothing in the directory.
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

// Problems that would make the backup incomplete. With `force` they are only recorded in the manifest.
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
  const { concurrency, idleTimeout } = DEFAULTS.backup;
  const tally = new BackupTally(context, masters.length);
  const save = async (master: NodeRecord, signal: AbortSignal): Promise<BackupFile> => {
    const name = formatAddress(master.address);
    const file = fileNameOf(name, master.id);
    const server = await askServer(context.connections, master.address);
    const part = await folder.begin(file);
    try {
      const hash = createHash('sha256');
      let bytes = 0;
      await receiveRdb(context.connections, master.address, {
        server,
        idleTimeout: options.idleTimeout ?? idleTimeout,
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
      return {
        id: master.id,
        address: name,
        slots,
        server: server.name,
        file,
        bytes,
        sha256: hash.digest('hex'),
      };
    } finally {
      await part.close();
    }
  };
  const saveOrSay = (master: NodeRecord, signal: AbortSignal): Promise<BackupFile> =>
    save(master, signal).catch((error: unknown) => {
      throw signal.aborted ? signal.reason : failed(master.address, error);
    });
  return inParallelToEnd(masters, saveOrSay, options.concurrency ?? concurrency, context.signal);
}

function failed(address: Address, error: unknown): Error {
  if (error instanceof ClusterError || (error instanceof ReplyError && error.code === 'NOPERM')) return error;
  const name = formatAddress(address);
  return nodeError('BACKUP_FAILED', name, `Cannot back up ${name}: ${messageOf(error)}`, {
    hint: 'There is no backup: no manifest was written, and the files of the others were removed',
    next: [{ do: 'retry', when: 'repaired' }],
    resumable: 'same-call',
    cause: error,
  });
}

// A slot that moves from a master not yet saved to one already saved is in neither snapshot, even if it then moves back.
async function findMoved(context: Context, before: ClusterView, { force }: BackupOptions): Promise<string[]> {
  const after = await look(context.connections, before.seed, context.signal);
  const is = slotOwners(after);
  const wasOpen = openSlotsOf(before);
  const begun = new Set([...openSlotsOf(after).keys()].filter((slot) => !wasOpen.has(slot)));
  const moved = slotsToReadAgain(before, after, begun);
  if (moved.length === 0) return [];
  const problem = `${nameSlots(moved)} moved, or began to, while the snapshots were made`;
  if (force) return [problem];
  throw new ClusterError('BACKUP_FAILED', `Cannot back up: ${problem}`, {
    hint: [
      ...holdersOf(after, moved, is),
      'There is no backup: no manifest was written, and the files were removed',
    ].join('. '),
    next: [{ do: 'retry', when: 'moves-done' }],
    resumable: 'same-call',
  });
}
