import type { Reply } from '../../resp/index.ts';

/** What HOTKEYS GET of Redis 8.6 says of a session. */
export interface HotkeysSession {
  readonly isActive: boolean;
  /** Milliseconds since 1970, by the server's clock: no other session of the server has the same. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** Microseconds that commands with keys took. */
  readonly cpuUs: number;
  /** Bytes of commands with keys, and of their replies. */
  readonly networkBytes: number;
  /** By key, in latin1: microseconds. */
  readonly cpu: ReadonlyMap<string, number>;
  /** By key, in latin1: bytes. */
  readonly network: ReadonlyMap<string, number>;
}

/**
 * Reads the reply of HOTKEYS GET. Undefined if there is no session, and for the replies of other servers: HOTKEYS of Valkey 9.2 is
 * another command. Some releases give times in milliseconds, some in microseconds, and some put the reply in an array.
 */
export function readHotkeys(reply: Reply | undefined): HotkeysSession | undefined {
  const list = Array.isArray(reply) && reply.length === 1 && Array.isArray(reply[0]) ? reply[0] : reply;
  if (!Array.isArray(list)) return undefined;
  const fields = new Map<string, Reply>();
  for (let at = 0; at + 1 < list.length; at += 2) fields.set(String(list[at]), list[at + 1] ?? null);
  if (!fields.has('tracking-active')) return undefined;
  const number = (name: string): number => Number(fields.get(name) ?? 0) || 0;
  const cpu = countsIn(fields.get('by-cpu-time-us') ?? fields.get('by-cpu-time'));
  const network = countsIn(fields.get('by-net-bytes'));
  return {
    isActive: number('tracking-active') === 1,
    startedAt: number('collection-start-time-unix-ms'),
    durationMs: number('collection-duration-ms'),
    cpuUs: number('all-commands-all-slots-us') || 1000 * number('all-commands-all-slots-ms'),
    networkBytes: number('net-bytes-all-commands-all-slots'),
    cpu,
    network,
  };
}

function countsIn(reply: Reply | undefined): Map<string, number> {
  const counts = new Map<string, number>();
  if (!Array.isArray(reply)) return counts;
  for (let at = 0; at + 1 < reply.length; at += 2) counts.set(String(reply[at]), Number(reply[at + 1]) || 0);
  return counts;
}
