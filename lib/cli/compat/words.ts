/** The words in which the tools of the two servers differ. */
export interface Words {
  readonly master: 'master' | 'primary';
  readonly masters: 'masters' | 'primaries';
  readonly replicas: 'slaves' | 'replicas';
  /** `nodes...` or `node(s)...`, of create. */
  readonly nodes: string;
  /** True if the plan of reshard is told in ranges. */
  readonly inRanges: boolean;
  /** True if del-node says at the end that it is done. */
  readonly tellsRemoval: boolean;
  /** Fewest masters that create makes without asking, and whether it asks or refuses below. */
  readonly asksForFewMasters: boolean;
}

/** The words for a server, by its version as INFO tells it: `Redis 8.6.0`, `Valkey 9.1.0`. */
export function wordsFor(version: string | undefined): Words {
  const [, major] = /^Valkey (\d+)/.exec(version ?? '') ?? [];
  const isValkey = major !== undefined;
  const isNew = isValkey && Number(major) >= 9;
  return {
    master: isValkey ? 'primary' : 'master',
    masters: isValkey ? 'primaries' : 'masters',
    replicas: isValkey ? 'replicas' : 'slaves',
    nodes: isValkey ? 'node(s)' : 'nodes',
    inRanges: isNew,
    tellsRemoval: isNew,
    asksForFewMasters: isValkey,
  };
}
