import { parseSlotRange } from '../../model/slot.ts';

/** Format of the manifest; raised when a field changes its meaning or is removed. */
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

/** The content of a backup's `manifest.json`. */
export interface BackupManifest {
  readonly version: 1;
  /** Start of the backup, ISO 8601 in UTC. */
  readonly date: string;
  /** Problems of the cluster that `force` ignored, as text: keys may be missing or duplicated. */
  readonly problems: readonly string[];
  readonly masters: readonly BackupFile[];
}

/** File name for a master, as in redis-cli; characters that some file systems refuse are replaced. */
export function fileNameOf(address: string, id: string): string {
  const place = address.replace(/[^\w.-]+/g, '-').replace(/^-/, '');
  return `redis-node-${place}-${id}.rdb`;
}

/** Parses a manifest strictly. Throws a TypeError or SyntaxError if it is invalid, or ClusterError `INVALID_ARGUMENT` for an invalid slot. */
export function parseManifest(text: string): BackupManifest {
  const read: unknown = JSON.parse(text);
  const { version, date, problems, masters } = fieldsOf(read);
  if (version !== MANIFEST_VERSION)
    throw new TypeError(`it has version ${version}, expected ${MANIFEST_VERSION}`);
  if (!Array.isArray(masters) || masters.length === 0) throw new TypeError('it names no masters');
  if (!Array.isArray(problems)) throw new TypeError('its "problems" are not a list');
  return {
    version: MANIFEST_VERSION,
    date: textOf(date, 'date'),
    problems: problems.map((problem) => textOf(problem, 'problems')),
    masters: masters.map(parseFile),
  };
}

function parseFile(read: unknown): BackupFile {
  const { id, address, slots, server, file, bytes, sha256 } = fieldsOf(read);
  // A bare file name: a manifest must not lead out of its directory.
  if (!/^[\w.-]+\.rdb$/.test(textOf(file, 'file'))) throw new TypeError(`"${file}" is not a file name`);
  if (!/^[0-9a-f]{64}$/.test(textOf(sha256, 'sha256'))) throw new TypeError('a "sha256" is invalid');
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) throw new TypeError('a "bytes" is no number');
  const ranges = textOf(slots, 'slots');
  for (const range of ranges.split(' ')) if (range !== '') parseSlotRange(range);
  return {
    id: textOf(id, 'id'),
    address: textOf(address, 'address'),
    slots: ranges,
    server: textOf(server, 'server'),
    file: file as string,
    bytes: bytes as number,
    sha256: sha256 as string,
  };
}

function fieldsOf(read: unknown): Readonly<Record<string, unknown>> {
  if (typeof read !== 'object' || read === null || Array.isArray(read))
    throw new TypeError('it is not a JSON object');
  return read as Record<string, unknown>;
}

function textOf(value: unknown, field: string): string {
  if (typeof value !== 'string') throw new TypeError(`a "${field}" is not text`);
  return value;
}
