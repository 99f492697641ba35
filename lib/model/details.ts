/** What a node says of itself beside CLUSTER NODES, from INFO. */
export interface NodeDetails {
  /** Changes with every start of the server: tells two servers of one node id apart. */
  readonly runId: string;
  /** `Redis 8.6.0`, `Valkey 9.1.0`. */
  readonly version: string;
  /** Bytes of the replication stream that the node has written, as a master, or taken in, as a replica. */
  readonly offset: number;
  /** Of a replica. */
  readonly link?: ReplicaLink;
  /** Of a master: the replicas that are connected to it. */
  readonly replicas: readonly ConnectedReplica[];
  readonly memory: NodeMemory;
  /** Keys over all databases. */
  readonly keys: number;
  /** True if the last save, or rewrite of the append-only file, failed. */
  readonly isSaveFailing: boolean;
}

export interface ReplicaLink {
  readonly status: 'up' | 'copying' | 'down';
  /** Seconds since the link went down. Absent of one that has not been up since the node became a replica. */
  readonly downSeconds?: number;
}

export interface ConnectedReplica {
  readonly host: string;
  readonly port: number;
  /** Bytes of the stream that it has taken in. */
  readonly offset: number;
  /** Seconds since it last said so. */
  readonly lagSeconds: number;
}

export interface NodeMemory {
  readonly used: number;
  /** What counts towards maxmemory. */
  readonly counted: number;
  /** 0 for no limit. */
  readonly max: number;
  readonly policy: string;
}

/** A node id that servers at several addresses answer with. */
export interface SharedId {
  readonly id: string;
  readonly addresses: readonly string[];
}
