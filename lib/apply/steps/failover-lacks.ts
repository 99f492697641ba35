import { MUTE_WORDS, muteAdvice } from '../../findings/out-of-sync.ts';
import { parseAddress } from '../../model/address.ts';
import { entryOf, isMute } from '../../model/details.ts';
import type { Advice } from '../../model/next.ts';
import { attemptLacks } from '../../model/promotion.ts';
import type { Context } from '../../nodes/context.ts';
import { replicasIn } from '../../nodes/inspect.ts';
import { askInfo, isLinkUp, type NodeInfo, numberOf } from '../../nodes/node-info.ts';
import { hasStreamOf } from '../../nodes/replication.ts';
import { readServer } from '../../nodes/server.ts';
import type { StepOf } from '../../plan/plan.ts';

/** Why a replica has not replaced its master, as a sentence, and what to do about it. */
export interface Lack {
  readonly says: string;
  readonly advice: Advice;
  /** `votes`: it held an election and lost it. `never`: it cannot replace its master as it is. */
  readonly kind: 'not-ready' | 'behind' | 'votes' | 'never';
}

/**
 * What keeps a replica from taking over now; undefined if nothing does. While it has no link to its master it never gets what it lacks: the master
 * would not accept writes for five seconds in vain. If the master has never been written to, both are at offset 0, and it would take
 * over without a copy, though the master may have read data from disk. INFO reports offset 1 then (genRedisInfoString).
 *
 * An old Redis mistakes an offset of 0 for one that it has not received yet, and waits in vain. The master's next PING to its
 * replicas, within ten seconds, raises the offset, but none is sent during a failover.
 */
export async function notReady(
  context: Context,
  { replica, master }: StepOf<'failover'>,
): Promise<Lack | undefined> {
  const at = parseAddress(replica.address);
  const [info, theirs] = await Promise.all([
    askInfo(context.connections, at, ['server', 'replication']),
    askReplication(context, master.address),
  ]);
  const lack = (says: string, advice: Advice = {}): Lack => ({
    kind: 'not-ready',
    says: `${replica.address} ${says}`,
    advice,
  });
  if (!isLinkUp(info)) return lack(`has no link to ${master.address}`);
  const [offset, entry] = [
    numberOf(info, 'slave_repl_offset'),
    entryOf(theirs ? replicasIn(theirs) : [], at),
  ];
  if (isMute(offset, entry, theirs ? numberOf(theirs, 'master_repl_offset') : 0))
    return lack(MUTE_WORDS, muteAdvice({ replica: replica.address, master: master.address }));
  const isAble = readServer(info).capabilities.failsOverFromZero || info.get('slave_repl_offset') !== '0';
  return isAble ? undefined : lack(`has received nothing from ${master.address} yet`);
}

/** Why a failover that was asked for is overdue; undefined if that cannot be told. `epochs` are those of the replica before and now. */
export async function overdue(
  context: Context,
  { replica, master, mode }: StepOf<'failover'>,
  epochs: readonly [before: number, now: number],
): Promise<Lack | undefined> {
  // Only the master asked last may be further, by what it has written in between.
  const own = await askReplication(context, replica.address);
  const theirs = mode === 'graceful' ? await askReplication(context, master.address) : undefined;
  const [applied, written] =
    own && theirs ? [numberOf(own, 'slave_repl_offset'), numberOf(theirs, 'master_repl_offset')] : [0, 0];
  const isOneStream = own !== undefined && theirs !== undefined && isLinkUp(own) && hasStreamOf(own, theirs);
  const lack = attemptLacks({ applied, written, isOneStream, epochs });
  if (lack === undefined) return undefined;
  if (lack === 'votes')
    return {
      kind: lack,
      says: `${replica.address} was not elected: too few masters voted for it in time`,
      advice: {
        hint: 'It needs the votes of most masters, and a master votes about the same other one only once in two node timeouts',
        next: [{ do: 'check', cluster: replica.address }],
      },
    };
  const says = `${replica.address} counts ${applied} bytes of the replication stream, ${master.address} counts ${written}`;
  return lack === 'behind'
    ? { kind: lack, says, advice: {} }
    : { kind: 'never', says, advice: muteAdvice({ replica: replica.address, master: master.address }) };
}

/** The replication of a node, if it answers. */
async function askReplication(
  { connections, signal }: Context,
  address: string,
): Promise<NodeInfo | undefined> {
  try {
    return await askInfo(connections, parseAddress(address), ['replication']);
  } catch {
    // A master that does not answer is the business of the failover itself.
    signal?.throwIfAborted();
    return undefined;
  }
}
