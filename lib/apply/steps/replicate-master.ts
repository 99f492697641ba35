import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, parseAddress } from '../../model/address.ts';
import type { StepOf } from '../../plan/plan.ts';
import { agreeTimeout, type Context, nodeError } from '../context.ts';
import { askNode } from '../look.ts';
import { mustDo } from './must-do.ts';

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

/** Makes a node a replica, and waits until it has copied its master. */
export async function replicateMaster(
  context: Context,
  { replica, master }: StepOf<'replicate'>,
): Promise<void> {
  const address = parseAddress(replica.address);
  const { myself } = await askNode(context.connections, address);
  if (myself.role !== 'replica' || myself.masterId !== master.id) {
    await mustDo(
      context,
      replica,
      ['CLUSTER', 'REPLICATE', master.id],
      `make it a replica of ${master.address}`,
    );
    context.emit({ type: 'replica-set', node: replica.address, master: master.address });
  }
  const started = performance.now();
  let told = 0;
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    context.signal?.throwIfAborted();
    if (await hasCopiedMaster(context, address)) return;
    const elapsedMs = performance.now() - started;
    const lacking = `${replica.address} has not copied ${master.address} yet`;
    if (elapsedMs > agreeTimeout(context)) {
      throw nodeError(
        'NOT_REACHED',
        replica.address,
        `Waited ${Math.round(elapsedMs / 1000)} s for replication: ${lacking}`,
        {
          hint: `It is a replica already and goes on by itself; see "INFO replication" on ${replica.address}, and masterauth if the nodes have a password`,
          resumable: true,
        },
      );
    }
    if (elapsedMs - told > 500) {
      told = elapsedMs;
      context.emit({ type: 'waiting', what: 'replication', elapsedMs, missing: [lacking] });
    }
    await sleep(pause);
    pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS);
  }
}

/** True of a replica that has copied its master and is connected to it. */
export async function hasCopiedMaster({ connections, signal }: Context, address: Address): Promise<boolean> {
  const replication = await connections.ask(address, ['INFO', 'replication'], { signal });
  return /^master_link_status:up/m.test(String(replication));
}
