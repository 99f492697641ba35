import type { Credentials } from './login.ts';

/** What a node is set up with. Fields are absent if the node refuses to say. */
export interface NodeSetup extends Credentials {
  /** By name; none that is secret. */
  readonly settings?: ReadonlyMap<string, string>;
  /** Function libraries by name, with their code. */
  readonly libraries?: ReadonlyMap<string, string>;
  /** The shard that it says it is in. */
  readonly shardId?: string;
}
