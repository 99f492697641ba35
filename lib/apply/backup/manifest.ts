/** The form of manifests; raised when a field changes its meaning or goes. */
export const MANIFEST_VERSION = 1;

/** The snapshot of one master. */
export interface BackupFile {
  /** Node id of the master. */
  readonly id: string;
  /** `host:port` of the master. */
  readonly address: string;
  /** Its slots when the backup began, such as `0-5460 7000`. */
  readonly slots: string;
  /** `Redis 8.6.0`, `Valkey 9.1.0`. */
  readonly server: string;
  /** Name of the file in the directory. */
  readonly file: string;
  readonly bytes: number;
  /** SHA-256 of the file, in hex. */
  readonly sha256: string;
}

/** What a backup is made of: the content of its `manifest.json`. */
export interface BackupManifest {
  readonly version: 1;
  /** When it began, ISO 8601 in UTC. */
  readonly date: string;
  /** What was wrong with the cluster and passed over with `force`, for people: keys may be missing or twice in it. */
  readonly problems: readonly string[];
  readonly masters: readonly BackupFile[];
}

/** The name of a master's file, as redis-cli gives it; what some file systems do not take is replaced. */
export function fileNameOf(address: string, id: string): string {
  const place = address.replace(/[^\w.-]+/g, '-').replace(/^-/, '');
  return `redis-node-${place}-${id}.rdb`;
}
