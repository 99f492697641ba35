import { formatAddress } from './address.ts';
import { isSuspected, type NodeRecord, slotsOf } from './node.ts';

/** A node, as `listNodes` returns it. */
export class ClusterNode {
  /** 40 hexadecimal digits. */
  readonly nodeId: string;
  readonly host: string;
  readonly port: number;
  /** As in CLUSTER NODES, for example `["myself", "master"]`. */
  readonly flags: readonly string[];
  readonly masterId: string | null;
  readonly configEpoch: number;
  /** Slots that the node owns, ascending. */
  readonly assignedSlots: readonly number[];
  /** True if the node reports an open slot of its own. CLUSTER NODES lists open slots only for `myself`. */
  readonly slotsMigrating: boolean;

  constructor(record: NodeRecord, defaultHost = '') {
    this.nodeId = record.id;
    this.host = record.address.host || defaultHost;
    this.port = record.address.port;
    this.flags = record.flags;
    this.masterId = record.masterId;
    this.configEpoch = record.configEpoch;
    this.assignedSlots = slotsOf(record);
    this.slotsMigrating = record.openSlots.length > 0;
  }

  get roleInCluster(): 'master' | 'slave' {
    return this.master ? 'master' : 'slave';
  }

  /** True for the node that was asked. */
  get myself(): boolean {
    return this.flags.includes('myself');
  }

  get master(): boolean {
    return this.flags.includes('master');
  }

  get slave(): boolean {
    return !this.master;
  }

  /** True if the node that was asked flags it `fail` or `fail?`. */
  get fail(): boolean {
    return isSuspected(this);
  }

  /** `host:port`. */
  addr(): string {
    return formatAddress(this);
  }
}
