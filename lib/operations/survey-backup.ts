import { readManifest, verifyFile } from '../copy/backup/read-files.ts';
import { isExpired, ownership } from '../copy/backup/survey-files.ts';
import { ClusterError } from '../errors.ts';
import { globMatcher } from '../model/glob.ts';
import type { ControlOptions } from '../options.ts';
import { RDB_TYPE } from '../rdb/rdb-values.ts';
import {
  type KeySurvey,
  keyTallyOf,
  latin1,
  type SummingOptions,
  type SurveyedSource,
} from './survey-keys.ts';

export interface SurveyBackupOptions extends SummingOptions, Pick<ControlOptions, 'signal'> {}

/**
 * Sums up the keys of a backup, as `surveyKeys` does those of a cluster, without a server. Every file is verified while it is read. A
 * file that is damaged is named in the result. Rejects with ClusterError `INVALID_ARGUMENT`, `FILE_FAILED` or `BACKUP_INVALID` if the
 * manifest cannot be read, and with the reason of `signal`.
 */
export async function surveyBackup(dir: string, options: SurveyBackupOptions = {}): Promise<KeySurvey> {
  const started = performance.now();
  const tally = keyTallyOf(options);
  const matches = globMatcher(latin1(options.match ?? '*'));
  const signal = options.signal ?? new AbortController().signal;
  const { masters } = await readManifest(dir);
  let expired = 0;
  const sources: SurveyedSource[] = [];
  for (const file of masters) {
    const isOwned = ownership(file);
    let keys = 0;
    let error: string | null = null;
    try {
      await verifyFile(dir, file, signal, (item) => {
        if (item.kind !== 'key' || !isOwned(item)) return;
        if (isExpired(item, Date.now())) {
          expired += 1;
          return;
        }
        keys += 1;
        const { key, db, type, value, expiresAt } = item;
        if (!matches(key)) return;
        const ttlMs = expiresAt === undefined ? null : expiresAt - Date.now();
        tally.add({ key, db, type: typeName(type), bytes: key.length + value.length, ttlMs, on: file.file });
      });
    } catch (failure) {
      if (!(failure instanceof ClusterError)) throw failure;
      error = failure.message;
    }
    sources.push({ name: file.file, kind: 'file', master: file.address, keys, error });
  }
  return {
    ...tally.sums(),
    complete: sources.every(({ error }) => error === null),
    sampled: false,
    read: tally.seen,
    bytesAre: 'file',
    sources,
    movedSlots: 0,
    expired,
    elapsedMs: performance.now() - started,
  };
}

const TYPES = ['string', 'list', 'set', 'zset', 'hash', 'stream', 'module'];
const TYPE_NAMES = new Map<number, string>(
  Object.entries(RDB_TYPE).map(([name, type]) => [type, TYPES.find((one) => name.startsWith(one)) ?? name]),
);

/** The type as a client sees it. */
function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? 'other';
}
