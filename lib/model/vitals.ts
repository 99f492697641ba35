import { bytesBehind, hasOtherData, isLinked, type NodeDetails } from './details.ts';

/** What a node reported about itself in INFO at one moment. */
export interface NodeSample {
  /** When it arrived, in milliseconds of a clock that never goes back. */
  readonly atMs: number;
  readonly details: NodeDetails;
  readonly uptimeSeconds: number;
  /** Connections of clients, ours included. */
  readonly clients: number;
  readonly counters: NodeCounters;
}

/** What has come together since the server was started, or since its statistics were reset. */
export interface NodeCounters {
  readonly commands: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Seconds of one core that the process has used. */
  readonly cpuSeconds: number;
}

/** What a node does in a second. */
export interface NodeRates {
  readonly opsPerSecond: number;
  readonly bytesInPerSecond: number;
  readonly bytesOutPerSecond: number;
  /** Cores that are busy: 1 is one of them, and a server with several threads may use more. */
  readonly cores: number;
}

/** The part of the counters that our own questions added between two samples. */
export type OwnTraffic = Pick<NodeCounters, 'commands' | 'bytesIn' | 'bytesOut'>;

const NO_TRAFFIC: OwnTraffic = { commands: 0, bytesIn: 0, bytesOut: 0 };

/**
 * What a node did between two samples, without what we asked. Undefined if they say nothing about that: another run of the server,
 * counters that were reset in between, or no time.
 */
export function ratesBetween(
  before: NodeSample,
  after: NodeSample,
  own: OwnTraffic = NO_TRAFFIC,
): NodeRates | undefined {
  const seconds = (after.atMs - before.atMs) / 1000;
  const [from, to] = [before.counters, after.counters];
  const wasReset =
    before.details.runId !== after.details.runId ||
    to.commands < from.commands ||
    to.bytesIn < from.bytesIn ||
    to.bytesOut < from.bytesOut ||
    to.cpuSeconds < from.cpuSeconds;
  if (wasReset || !(seconds > 0)) return undefined;
  const rate = (done: number): number => Math.max(0, done) / seconds;
  return {
    opsPerSecond: rate(to.commands - from.commands - own.commands),
    bytesInPerSecond: rate(to.bytesIn - from.bytesIn - own.bytesIn),
    bytesOutPerSecond: rate(to.bytesOut - from.bytesOut - own.bytesOut),
    cores: rate(to.cpuSeconds - from.cpuSeconds),
  };
}

/** Bytes of the replication stream that a replica has not applied yet. Undefined if it follows another stream, or has no link. */
export function lagOf({ details: own }: NodeSample, { details: master }: NodeSample): number | undefined {
  return isLinked(own) && !hasOtherData(own, master) ? bytesBehind(own, master) : undefined;
}
