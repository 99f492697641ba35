import { type Reply, ReplyError } from '../../../resp/index.ts';
import type { ClusterError } from '../../errors.ts';
import { formatAddress } from '../../model/address.ts';
import { isNoClusterNode } from '../../nodes/look.ts';
import { pause } from '../../nodes/wait-until.ts';
import { askAbout, askSourceIn, askTarget, bothAnswer, type Ends } from '../ends.ts';
import { isSameAddress } from '../migrate-route.ts';
import { SharedLock } from '../shared-lock.ts';
import { isWorthRetrying } from './after-failure.ts';
import type { Batch } from './batch.ts';
import { fenceTarget } from './fence.ts';
import { cannotFence, cannotMigrate, targetNotProven } from './migrate-errors.ts';

/** A node that takes longer over this question is not waited for: what the source is led to is seen by the first key. */
const QUESTION_TIMEOUT_MS = 1000;
/** Keys that are listed of each of so many slots, to find one that will still be there in a moment. */
const [LISTED_KEYS, LISTED_SLOTS] = [10, 3];
/** One that expires sooner may be gone from the target before it is looked for. */
const LEAST_TTL_MS = 1000;
const RETRY_FOR_MS = 30_000;
const PAUSE_MS = 200;
/** A target that answers us, and that the source does not reach so often, is not to be found at that address. */
const MOST_UNREACHED = 2;
/** A key that is copied and not found there so often was copied to somebody else. */
const MOST_MISSES = 2;

/** What came of the copy of a key. `found`: another has brought it there. `gone`: the source does not hold it any more, or not for long. */
type Copied = 'seen' | 'found' | 'gone';

/** What came of a proof with a batch. */
export type OpenProof =
  | { readonly type: 'given' }
  /** A key of it is on both ends now: `copy`, unless somebody else may have brought it there. */
  | { readonly type: 'copied'; readonly copy: KeyCopy | undefined }
  /** There is none yet. */
  | { readonly type: 'held'; readonly keys: readonly string[] };

/** A copy of a key of the source that this run has put on the target, as the target dumps it. */
export interface KeyCopy {
  readonly key: string;
  readonly dump: string;
}

/** A key that shows where MIGRATE leads to. */
export type Probe = Pick<Batch, 'slot' | 'db'> & { readonly key: string };

/**
 * Rejects with ClusterError `TARGET_NOT_PROVEN` if another server answers at the address at which the source lists the target: keys
 * would go there, and clients, who are sent there by MOVED, whichever way the slots move. Asks nothing if the target was reached at that
 * very address. One that is not reached from here may still be reached by the source.
 */
export async function requireNoStranger(ends: Ends): Promise<void> {
  const { context, target, targetAddress, migrateTo, route } = ends;
  if (!route?.isListed || isSameAddress(migrateTo, targetAddress)) return;
  const answer = await context.connections
    .askSoon(migrateTo, ['CLUSTER', 'MYID'], QUESTION_TIMEOUT_MS)
    .catch((error: unknown) => error);
  const where = formatAddress(migrateTo);
  if (answer instanceof ReplyError && isNoClusterNode(answer))
    throw targetNotProven(ends, `a server that is not cluster enabled answers at ${where}`);
  if (typeof answer === 'string' && answer !== target.id)
    throw targetNotProven(ends, `node ${answer} answers at ${where}`);
}

/**
 * Proves for one move that the address to which the source sends keys leads to the target: one key is copied there, and the target is
 * asked whether it has it, before any key leaves the source. Rule 33 (docs/moving-slots.md).
 */
export class TargetProof {
  readonly #ends: Ends;
  readonly #lock: SharedLock;
  #isGiven: boolean;
  #proving: Promise<unknown> = Promise.resolve();

  /** `lock`: of all who move keys to the same target. */
  constructor(ends: Ends, lock: SharedLock = new SharedLock(), isGiven = false) {
    this.#ends = ends;
    this.#lock = lock;
    this.#isGiven = isGiven;
  }

  /** True when a key that the source sent has been seen on the target. */
  get isGiven(): boolean {
    return this.#isGiven;
  }

  /** Throws ClusterError `TARGET_NOT_PROVEN` if no address can work. Asks nothing. */
  requirePossible(): void {
    const { refusal } = this.#ends.route ?? {};
    if (refusal) throw targetNotProven(this.#ends, refusal.reason, { settings: refusal.settings });
  }

  /** Keys of some of the slots that may be copied for a proof; those that are moved alone only if there are no others. */
  async findProbes(slots: readonly number[], bigKeys: ReadonlyMap<string, number>): Promise<Probe[]> {
    if (this.#isGiven) return [];
    const some = slots.slice(0, LISTED_SLOTS);
    if (some.length === 0) return [];
    const replies = await askSourceIn(
      this.#ends,
      0,
      some.map((slot) => ['CLUSTER', 'GETKEYSINSLOT', slot, LISTED_KEYS]),
    );
    const found = some.flatMap((slot, index) => keysOf(replies[index]).map((key) => ({ slot, db: 0, key })));
    return found.toSorted((one, other) => (bigKeys.get(one.key) ?? 0) - (bigKeys.get(other.key) ?? 0));
  }

  /**
   * Gives the proof before the source opens the slots: the target imports them and holds no key of them, and no client is sent there
   * yet. So the copy is ours alone, and is deleted again. If all keys are gone by now the first batch of keys gives it.
   */
  async giveUnopened(probes: readonly Probe[], bigKeys: ReadonlyMap<string, number>): Promise<void> {
    if (this.#isGiven) return;
    for (const probe of probes) {
      const copied = await this.#copy(probe, bigKeys.get(probe.key), async () => {
        const [, deleted] = await this.#askTargetIn(probe, ['DEL', probe.key]);
        return deleted === 1;
      }).catch(async (error: unknown) => {
        await this.#askTargetIn(probe, ['DEL', probe.key]).catch(() => []);
        throw error;
      });
      if (copied === 'gone') continue;
      this.#isGiven = true;
      return;
    }
  }

  /**
   * Gives the proof with a key of a batch whose slot is open. If it was not given before, resolves to whether the target has a
   * copy of one of its keys now, or holds all that could be copied: then to those, which can show nothing.
   */
  giveOpen(batch: Batch): Promise<OpenProof> {
    const proving = this.#proving.then(() => this.#giveOpen(batch));
    this.#proving = proving.catch(() => undefined);
    return proving;
  }

  async #giveOpen({ slot, db, keys }: Batch): Promise<OpenProof> {
    if (this.#isGiven) return { type: 'given' };
    const held = await askAbout(this.#ends, 'target', db, ['EXISTS'], keys);
    for (const [index, key] of keys.entries()) {
      if (held[index] === 1) continue;
      let dump: Reply | undefined;
      const isThere = async (): Promise<boolean> => {
        [dump] = await askAbout(this.#ends, 'target', db, ['DUMP'], [key]);
        return typeof dump === 'string';
      };
      const copied = await this.#copy({ slot, db, key }, undefined, isThere);
      if (copied === 'gone') continue;
      this.#isGiven = true;
      const copy = copied === 'seen' && typeof dump === 'string' ? { key, dump } : undefined;
      return { type: 'copied', copy };
    }
    return { type: 'held', keys: keys.filter((_, index) => held[index] === 1) };
  }

  // Resolves when the target has had the copy, or the source has none to give. Never overwrites: it may be a stranger's key.
  async #copy(probe: Probe, bytes: number | undefined, isThere: () => Promise<boolean>): Promise<Copied> {
    const started = performance.now();
    let [misses, unreached] = [0, 0];
    let isCopied = false;
    for (;;) {
      const reply = await this.#lock.shared(() => this.#migrateCopy(probe, bytes));
      if (reply === 'NOKEY') return 'gone';
      const isBusy = reply instanceof ReplyError && reply.message.includes('BUSYKEY');
      if (!(reply instanceof ReplyError) || isBusy) {
        isCopied ||= !isBusy;
        if (await isThere()) return isCopied ? 'seen' : 'found';
        if (!(await this.#lasts(probe))) return 'gone';
        misses += 1;
        if (misses >= MOST_MISSES || isBusy) throw this.#copiedElsewhere(probe, isCopied);
        continue;
      }
      // The target knows that it imports the slot: whoever sends the source away is another member, or of another cluster.
      if (/error: (?:MOVED|ASK) /.test(reply.message)) throw this.#notProven(reply.message, isCopied, probe);
      if (!isWorthRetrying(reply)) throw cannotMigrate(this.#ends, probe.slot, reply);
      do {
        if (performance.now() - started > RETRY_FOR_MS) throw cannotMigrate(this.#ends, probe.slot, reply);
        await pause(PAUSE_MS);
      } while (!(await bothAnswer(this.#ends)));
      if (!/IOERR/.test(reply.message)) continue;
      // Restored late, the copy would bring the key back if it is deleted meanwhile.
      await this.#lock.exclusive(() => this.#fence(probe));
      unreached += 1;
      if (unreached >= MOST_UNREACHED) throw this.#notProven(reply.message, false, probe);
    }
  }

  async #fence({ slot }: Probe): Promise<void> {
    await fenceTarget(this.#ends).catch((error: unknown) => {
      throw error instanceof ReplyError ? cannotFence(this.#ends, slot, error) : error;
    });
  }

  async #migrateCopy({ db, key }: Probe, bytes = 0): Promise<Reply> {
    const { context, sourceAddress, migrateTo, auth } = this.#ends;
    const { migrateTimeout, migrateTimeoutGrows, commandTimeout } = context.settings;
    const timeoutMs = migrateTimeoutGrows ? migrateTimeout + Math.ceil(bytes / BYTES_PER_MS) : migrateTimeout;
    const migrate = [
      ...['MIGRATE', migrateTo.host, migrateTo.port, '', db, timeoutMs, 'COPY'],
      ...[...auth, 'KEYS', key],
    ];
    // ASKING, for keys that lie on a node which imports the slot. MIGRATE's timeout counts for connecting and for the transfer.
    const commands = db === 0 ? [['ASKING'], migrate] : [['SELECT', db], ['ASKING'], migrate, ['SELECT', 0]];
    const replies = await context.connections.askAll(sourceAddress, commands, {
      timeout: 2 * timeoutMs + commandTimeout,
    });
    return replies[db === 0 ? 1 : 2] ?? null;
  }

  async #askTargetIn({ db }: Probe, command: readonly (string | number)[]): Promise<Reply[]> {
    if (db !== 0) return [];
    return askTarget(this.#ends, [['ASKING'], command]);
  }

  // A copy has the same time to live.
  async #lasts({ db, key }: Probe): Promise<boolean> {
    const [ttl] = await askAbout(this.#ends, 'source', db, ['PTTL'], [key]);
    return typeof ttl === 'number' && (ttl === -1 || ttl >= LEAST_TTL_MS);
  }

  #copiedElsewhere(probe: Probe, isCopied: boolean): ClusterError {
    return this.#notProven('what it sends there does not arrive at the target', isCopied, probe);
  }

  #notProven(reason: string, isCopied: boolean, { key }: Probe): ClusterError {
    return targetNotProven(this.#ends, reason, isCopied ? { copied: key } : {});
  }
}

/** What a node takes to restore a large key, at the least. */
const BYTES_PER_MS = 10_000;

function keysOf(reply: Reply | undefined): string[] {
  return Array.isArray(reply) ? reply.filter((key): key is string => typeof key === 'string') : [];
}
