import { FIRST_OF_VALKEY } from './rdb-values.ts';

/** The versions of the RDB format by the first server that writes them (RDB_VERSION). */
export const RDB_VERSION = { redis5: 9, redis7: 10, redis72: 11, redis74: 12, redis86: 13 } as const;

/** What a server does with versions of the RDB format. Undefined: it does not say. */
export interface RdbSupport {
  /** The version that it writes in every DUMP, and the newest that it reads. */
  readonly rdb: number | undefined;
  /** The version that it sends to a replica that does not ask for more. */
  readonly snapshot: number | undefined;
  /** Tries to read newer versions, too: Valkey, with `rdb-version-check relaxed`. */
  readonly isRelaxed: boolean;
}

/** False if it is certain that a server refuses what is written in this version. */
export function acceptsRdb({ rdb, isRelaxed }: RdbSupport, written: number | undefined): boolean {
  return rdb === undefined || written === undefined || isRelaxed || readsRdb(rdb, written);
}

/**
 * True if a server that writes `own` in its snapshots and in every DUMP reads what one that writes `written` sends: both refuse
 * versions that are newer than their own (rdbLoadRioWithLoadingCtx, verifyDumpPayload). Valkey also refuses those of Redis from 7.4
 * on, up to where its own begin (RDB_FOREIGN_VERSION_MIN, _MAX).
 */
export function readsRdb(own: number, written: number): boolean {
  if (own >= FIRST_OF_VALKEY && written >= RDB_VERSION.redis74 && written < FIRST_OF_VALKEY) return false;
  return written <= own;
}

/** RDB version and checksum at the end of every DUMP payload, also of FUNCTION DUMP. */
export const FOOTER_BYTES = 10;

/** The RDB version that a DUMP payload is written in. */
export function dumpVersion(dump: string): number {
  const at = dump.length - FOOTER_BYTES;
  return dump.charCodeAt(at) | (dump.charCodeAt(at + 1) << 8);
}
