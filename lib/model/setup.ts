import type { Credentials } from './login.ts';

/** `cluster-node-timeout` while members find one another again: two seconds, and a millisecond by which it is known. Nobody else sets this. */
export const SHORT_NODE_TIMEOUT_MS = 2001;

/** What a node is set up with. Fields are absent if the node refuses to say. */
export interface NodeSetup extends Credentials {
  /** By name; none that is secret. */
  readonly settings?: ReadonlyMap<string, string>;
  /** Function libraries by name, with their code. */
  readonly libraries?: ReadonlyMap<string, string>;
  /** The shard that it says it is in. */
  readonly shardId?: string;
}
