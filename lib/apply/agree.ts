import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { type Answers, type Expectation, type Unmet, unmet } from '../model/expectation.ts';
import type { NodeReport } from '../model/view.ts';
import { agreeTimeout, type Context } from './context.ts';
import { askNode } from './look.ts';
import { inParallel } from './parallel.ts';

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 250;
const REPORT_EVERY_MS = 500;

/**
 * Waits until every member says what is expected of it. Rejects with ClusterError `NOT_REACHED`, which names the nodes
 * and what they say instead, when `agreeTimeout` has passed.
 * `nudge` is called with what is missing each time it still is: to introduce nodes again, for example.
 */
export async function waitForAgreement(
  context: Context,
  expectation: Expectation,
  what: string,
  nudge?: (missing: readonly Unmet[]) => Promise<void>,
): Promise<void> {
  const started = performance.now();
  let pause = FIRST_PAUSE_MS;
  let reported = 0;
  for (;;) {
    context.signal?.throwIfAborted();
    const missing = unmet(expectation, await askMembers(context, expectation));
    const elapsedMs = performance.now() - started;
    if (missing.length === 0) {
      context.emit({ type: 'agreed', elapsedMs });
      return;
    }
    if (elapsedMs >= agreeTimeout(context)) throw notReached(what, elapsedMs, missing);
    if (elapsedMs - reported >= REPORT_EVERY_MS) {
      reported = elapsedMs;
      context.emit({ type: 'waiting', what, elapsedMs, missing: missing.map(({ text }) => text) });
    }
    await nudge?.(missing);
    await sleep(pause, undefined, context.signal ? { signal: context.signal } : {}).catch(() => undefined);
    pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS);
  }
}

async function askMembers(context: Context, { members }: Expectation): Promise<Answers> {
  const answers = await inParallel(members, async (member): Promise<[string, NodeReport | Error]> => {
    try {
      return [member.id, await askNode(context.connections, parseAddress(member.address))];
    } catch (error) {
      return [member.id, error as Error];
    }
  });
  return new Map(answers);
}

function notReached(what: string, elapsedMs: number, missing: readonly Unmet[]): ClusterError {
  const shown = missing.slice(0, 5).map(({ text }) => text);
  if (missing.length > shown.length) shown.push(`and ${missing.length - shown.length} more differences`);
  return new ClusterError(
    'NOT_REACHED',
    `Waited ${Math.round(elapsedMs / 1000)} s for ${what}: ${shown.join('; ')}`,
    {
      ...(missing[0] ? { address: missing[0].node } : {}),
      hint: missing.some(({ unknown }) => unknown)
        ? 'Nodes must reach one another on the client port and on the cluster bus port (client port + 10000 by default); then run the same command again'
        : 'Run the same command again when the nodes named are well',
      resumable: true,
    },
  );
}
