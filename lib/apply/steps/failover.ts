import { setTimeout as sleep } from 'node:timers/promises';
import { ReplyError } from '../../../resp/index.ts';
import { parseAddress } from '../../model/address.ts';
import type { StepOf } from '../../plan/plan.ts';
import { agreeTimeout, type Context, nodeError } from '../context.ts';
import { askNode } from '../look.ts';

/** A server gives a manual failover up after five seconds (CLUSTER_MF_TIMEOUT) and tells nobody: it is asked again then. */
const ASK_AGAIN_MS = 6000;
const PAUSE_MS = 50;

/** Lets a replica take its master's place, and waits until it says that it is a master. */
export async function failover(context: Context, step: StepOf<'failover'>): Promise<void> {
  const { replica, master, mode } = step;
  const started = performance.now();
  let asked = Number.NEGATIVE_INFINITY;
  for (;;) {
    context.signal?.throwIfAborted();
    const { myself } = await askNode(context.connections, parseAddress(replica.address), context.signal);
    if (myself.role === 'master') return;
    const elapsedMs = performance.now() - started;
    if (elapsedMs > agreeTimeout(context)) throw notReached(step, elapsedMs);
    if (elapsedMs - asked > ASK_AGAIN_MS && (mode !== 'graceful' || (await isReady(context, step)))) {
      asked = elapsedMs;
      await ask(context, step);
      context.emit({ type: 'failover', node: replica.address, master: master.address });
    }
    await sleep(PAUSE_MS);
  }
}

// Redis up to 6.0 takes an offset of 0 for one that it has not heard of yet (mf_master_offset), and waits in vain: the
// master's first PING to its replicas, after ten seconds at most, takes it further, but none is sent while a failover is under way.
async function isReady({ connections }: Context, { replica }: StepOf<'failover'>): Promise<boolean> {
  const address = parseAddress(replica.address);
  const [server, replication] = await connections.askAll(address, [
    ['INFO', 'server'],
    ['INFO', 'replication'],
  ]);
  const [, major = 0, minor = 0] = /^redis_version:(\d+)\.(\d+)/m.exec(String(server))?.map(Number) ?? [];
  const isOld = major < 6 || (major === 6 && minor < 2);
  return !isOld || !/^slave_repl_offset:0\b/m.test(String(replication));
}

async function ask({ connections }: Context, step: StepOf<'failover'>): Promise<void> {
  const { replica, mode } = step;
  const words = mode === 'graceful' ? [] : [mode.toUpperCase()];
  try {
    await connections.ask(parseAddress(replica.address), ['CLUSTER', 'FAILOVER', ...words]);
  } catch (error) {
    // Between two looks it may have become a master.
    if (!(error instanceof ReplyError) || error.message.includes('to a replica')) throw error;
    throw nodeError(
      'NOT_REACHED',
      replica.address,
      `Cannot fail over to ${replica.address}: ${error.message}`,
      {
        hint: hintFor(step),
        cause: error,
      },
    );
  }
}

function notReached(step: StepOf<'failover'>, elapsedMs: number): Error {
  const { replica, master } = step;
  const message = `Waited ${Math.round(elapsedMs / 1000)} s for ${replica.address} to take the place of ${master.address}`;
  return nodeError('NOT_REACHED', replica.address, message, { hint: hintFor(step), resumable: true });
}

function hintFor({ mode }: StepOf<'failover'>): string {
  if (mode === 'graceful') return 'Where the master does not answer, use --mode force';
  if (mode === 'force') return 'Where too few masters live to vote, use --mode takeover';
  return 'See what is wrong with: redis-trib check';
}
