import { isAtLeast, readServerName } from '../../nodes/server.ts';

/** Words in which redis-cli and valkey-cli differ. */
export interface Words {
  readonly master: 'master' | 'primary';
  readonly masters: 'masters' | 'primaries';
  readonly replicas: 'slaves' | 'replicas';
  /** `nodes` or `node(s)`, in the output of create. */
  readonly nodes: string;
  /** True if reshard shows its plan in ranges. */
  readonly inRanges: boolean;
  /** True if del-node reports at the end that it is done. */
  readonly confirmsRemoval: boolean;
  /** True if create asks before making fewer than three masters, false if it refuses. */
  readonly asksForFewMasters: boolean;
}

/** The words for a server, by its name: `Redis 8.6.0`, `Valkey 9.1.0`. */
export function wordsFor(version: string | undefined): Words {
  const server = readServerName(version ?? '');
  const isValkey = server?.family === 'valkey';
  const isNew = isValkey && isAtLeast(server, 9);
  return {
    master: isValkey ? 'primary' : 'master',
    masters: isValkey ? 'primaries' : 'masters',
    replicas: isValkey ? 'replicas' : 'slaves',
    nodes: isValkey ? 'node(s)' : 'nodes',
    inRanges: isNew,
    confirmsRemoval: isNew,
    asksForFewMasters: isValkey,
  };
}
