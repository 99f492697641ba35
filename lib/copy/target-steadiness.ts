import { ConnectionError } from '../../resp/index.ts';
import { type ClusterView, nodeById, nodeName, reachableMasters, slotOwners } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { askInfo, type NodeInfo, numberOf } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import { wasReplaced } from '../nodes/replication.ts';
import { notReached, waitUntil } from '../nodes/wait-until.ts';
import type { Owners } from './owners.ts';

/** How often keys are written if masters of the cluster keep failing over. */
const MOST_PASSES = 4;
const PAUSE_MS = 200;

/** A cluster that keys are written to, at one moment. */
export interface TargetState {
  readonly view: ClusterView;
  /** By id of a master: what it says of itself, or said last if it does not answer now. */
  readonly infos: ReadonlyMap<string, NodeInfo>;
  /** Names of masters with slots that do not answer now. What they have, or their replicas, is not known. */
  readonly silent: readonly string[];
}

/** A master that may have lost keys that it had taken. */
export interface Loss {
  readonly node: string;
  readonly says: string;
  /** True if it makes room for keys by deleting others. */
  readonly isEviction: boolean;
}

/**
 * Masters that may have lost keys that were written between two moments. A replica that replaces its master may lack what that took last,
 * and a master that was frozen goes on taking keys until it hears of it.
 */
export function lossesSince(before: TargetState, now: TargetState): Loss[] {
  const losses = new Map<string, Loss>();
  const lose = (id: string, says: string, isEviction = false): void => {
    if (!losses.has(id)) losses.set(id, { node: nodeName(before.view, id), says, isEviction });
  };
  for (const id of new Set(slotOwners(now.view))) {
    const former = nodeById(before.view, id ?? '');
    if (former?.masterId) lose(former.masterId, 'was replaced by its replica');
  }
  for (const [id, info] of before.infos) {
    const later = now.infos.get(id);
    if (!later) continue;
    const isRestarted = info.has('run_id') && later.get('run_id') !== info.get('run_id');
    const evicted = numberOf(later, 'evicted_keys') - numberOf(info, 'evicted_keys');
    if (isRestarted) lose(id, 'was restarted');
    else if (wasReplaced(info, later)) lose(id, 'was replaced by its replica for a while');
    else if (evicted > 0) lose(id, `has evicted ${evicted} keys`, true);
  }
  return [...losses.values()].sort((a, b) => Number(b.isEviction) - Number(a.isEviction));
}

/**
 * Writes keys with `pass`, and again if a master that took keys in the meantime may have lost some. Each pass but the first finds those
 * that are there to be the same. If they cannot be written again, as they are gone at the source (`isFinal`), or if some are evicted,
 * rejects with ClusterError `KEYS_IN_DOUBT` or `NO_MEMORY`, unless forced; if it never ends, with `NOT_REACHED`.
 */
export async function untilKept(
  context: Context,
  owners: Owners,
  isFinal: boolean,
  pass: (isAgain: boolean) => Promise<void>,
): Promise<void> {
  const { settings, emit } = context;
  const started = performance.now();
  let before = await stateOf(context, owners);
  for (let passes = 1; ; passes++) {
    await pass(passes > 1);
    const now = await whenAllAnswer(context, owners, before, isFinal);
    const [loss] = lossesOf(context, before, now);
    if (!loss) return;
    const { node, message } = loss;
    if (isFinal && settings.force) return emit({ type: 'warning', node, message });
    if (isFinal) throw inDoubt(node, message);
    if (passes === MOST_PASSES)
      throw notReached('masters to keep what is written to them', performance.now() - started, [message], {
        address: node,
        resumable: 'same-call',
      });
    emit({ type: 'warning', node, message: `${message}: what it may have lost is written again` });
    before = now;
  }
}

/** Waits until each master answers, or another has its slots: until then it may have lost keys. */
function whenAllAnswer(
  context: Context,
  owners: Owners,
  before: TargetState,
  isFinal: boolean,
): Promise<TargetState> {
  const { settings, emit, signal } = context;
  const what = 'all masters that keys were written to';
  const wait = { what, timeoutMs: settings.agreeTimeout, pauseMs: PAUSE_MS, signal, emit };
  return waitUntil(wait, async () => {
    const now = await stateOf(context, owners, before);
    const [node] = now.silent;
    if (node === undefined) return { done: now };
    const missing = now.silent.map((name) => `${name} does not answer`);
    const message = `${node} does not answer after keys were written to it`;
    return {
      missing,
      giveUp: (elapsedMs) => {
        if (settings.force) {
          emit({ type: 'warning', node, message });
          return { done: now };
        }
        return isFinal ? inDoubt(node, message) : notReached(what, elapsedMs, missing, { address: node });
      },
    };
  });
}

function inDoubt(node: string, message: string): Error {
  return nodeError('KEYS_IN_DOUBT', node, `${message}: those that it took last may be lost`, {
    hint: 'They are deleted at the source',
    resumable: 'same-call',
  });
}

/** Where keys may have been lost, in words. Rejects with ClusterError `NO_MEMORY` if some were evicted, or warns if forced. */
export function lossesOf(
  { settings, emit }: Context,
  before: TargetState,
  now: TargetState,
): { readonly node: string; readonly message: string }[] {
  return lossesSince(before, now).flatMap(({ node, says, isEviction }) => {
    const message = `${node} ${says} while keys were written to it`;
    if (!isEviction) return [{ node, message }];
    if (!settings.force)
      throw nodeError('NO_MEMORY', node, message, {
        next: [
          { do: 'configure', node, settings: ['maxmemory'] },
          { do: 'retry', when: 'after-that' },
          { do: 'retry', options: { force: true }, when: 'anyway' },
        ],
        resumable: 'same-call',
      });
    emit({ type: 'warning', node, message });
    return [];
  });
}

/** Looks at the masters that keys are written to. `before`: what they were when they were last looked at. */
export async function stateOf(context: Context, owners: Owners, before?: TargetState): Promise<TargetState> {
  const view = await owners.refresh();
  const answering = new Set<string>();
  const found = await inParallel(
    reachableMasters(view),
    async ({ id, address }): Promise<[string, NodeInfo][]> => {
      try {
        const info = await askInfo(context.connections, address, ['server', 'replication', 'stats']);
        answering.add(id);
        return [[id, info]];
      } catch (error) {
        context.signal?.throwIfAborted();
        // One that refuses to say answers.
        if (!(error instanceof ConnectionError)) answering.add(id);
        return [];
      }
    },
  );
  const silent = [...new Set(slotOwners(view))].filter((id) => id !== undefined && !answering.has(id));
  return {
    view,
    infos: new Map([...(before?.infos ?? []), ...found.flat()]),
    silent: silent.map((id) => nodeName(view, id ?? '')),
  };
}
