/** Answers (PONG) that a node has sent and received on the cluster bus since it was started. */
export interface BusAnswers {
  readonly sent: number;
  readonly received: number;
}

/** The answers of all members that could be asked, at about one moment. */
export interface BusCount {
  /** By node id. */
  readonly nodes: ReadonlyMap<string, BusAnswers>;
  /** When the first node was asked, in milliseconds of some clock. */
  readonly atMs: number;
  /** The nodes are not asked at exactly the same moment: milliseconds until the last has answered. */
  readonly tookMs: number;
}

/** What is known of nodes that no member lists: one sends packets, none does, or it is too early to say. */
export type UnlistedNodes = 'some' | 'none' | 'unknown';

/** A node in the cluster would have been answered about so often by then, as each member was. */
const ROUNDS = 3;

/**
 * Whether a node that no member lists sends them packets, from two counts. A member answers every PING, also of a node that it
 * has forgotten (clusterProcessPacket): answers that no member has received went to such a node. All members must have been asked, but
 * for those that are down.
 */
export function unlistedNodes(before: BusCount, after: BusCount): UnlistedNodes {
  let [sent, received] = [0, 0];
  for (const [id, now] of after.nodes) {
    const then = before.nodes.get(id);
    // One that was restarted counts from 0 again.
    if (!then || now.sent < then.sent || now.received < then.received) return 'unknown';
    sent += now.sent - then.sent;
    received += now.received - then.received;
  }
  const elapsedMs = after.atMs - before.atMs;
  if (before.nodes.size !== after.nodes.size || elapsedMs <= 0) return 'unknown';
  // Answers that may have been sent before one node was asked and received after another was.
  const doubtful = (sent * (before.tookMs + after.tookMs)) / elapsedMs;
  // One more may be on its way.
  if (sent - received - 2 * doubtful > 1) return 'some';
  return received >= ROUNDS * after.nodes.size ? 'none' : 'unknown';
}
