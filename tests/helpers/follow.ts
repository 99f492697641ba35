import assert from 'node:assert/strict';
import {
  ClusterError,
  check,
  delNode,
  execute,
  type FindingKind,
  failover,
  fixMigrating,
  joinCluster,
  joinNoLoad,
  migrateSlots,
  type Next,
  quitCluster,
  rebalance,
  rejoinCluster,
  replicate,
  rescueCluster,
  reshard,
  shutdownCluster,
  spread,
  startCluster,
} from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';

/** What an operator has at hand who does what is advised. */
export interface Hands {
  readonly nodes: readonly ServerNode[];
  /** The call that failed, with options besides. */
  readonly again?: (options: NonNullable<Next['options']>) => Promise<unknown>;
  /** An empty node, for advice that does not name one. */
  readonly fresh?: string;
  /** For each setting that is to be changed, and each word that stands for something, what it is to be. */
  readonly values?: Readonly<Record<string, string>>;
  /** Milliseconds for what is done to hold. @default 20000 */
  readonly agreeTimeout?: number;
  /** Waits for what is advised to be waited for. */
  readonly until?: () => Promise<unknown>;
  /** Makes the plan again, and carries it out. */
  readonly plan?: () => Promise<unknown>;
}

/** Does what is advised, to the letter. */
export async function follow(next: Next, hands: Hands): Promise<void> {
  const { nodes, again, fresh = '', values = {}, until, plan, agreeTimeout = 20_000 } = hands;
  const { do: act, node, cluster = '', target, slots, options = {}, command = [], settings = [] } = next;
  const named = (address: string | undefined): ServerNode => {
    const found = nodes.find((one) => one.address === address);
    assert.ok(found, `${address} is advised, and is not there`);
    return found;
  };
  switch (act) {
    case 'retry':
      assert.ok(again, 'retry is not expected');
      await again(options);
      return;
    case 'resume':
      assert.ok(again, 'resume is not expected');
      await again({ resume: true });
      return;
    case 'plan':
      assert.ok(plan, 'a plan is not expected');
      await plan();
      return;
    case 'wait':
      assert.ok(until, 'waiting is not expected');
      await until();
      return;
    case 'start-node':
    case 'restart-node':
      return named(node).restart();
    case 'configure':
      for (const setting of settings) {
        assert.ok(setting in values, `${setting} is not expected to change`);
        await ask(named(node), 'CONFIG', 'SET', setting, values[setting] ?? '');
      }
      return;
    case 'execute': {
      const words = command.map((word) => values[word] ?? word) as [string, ...string[]];
      const errors = (await execute(cluster, words, options)).map(({ error }) => error);
      assert.ok(
        errors.every((error) => error === null),
        `${errors}`,
      );
      return;
    }
    case 'command':
      await ask(named(node), ...(command as readonly [string, ...string[]]));
      return;
    case 'failover':
      await failover(node ?? '', { ...options, agreeTimeout });
      return;
    case 'replicate':
      await replicate(node ?? fresh, target ?? fresh, { agreeTimeout });
      return;
    case 'del-node':
      await delNode(cluster, node ?? '', options);
      return;
    case 'start':
      await startCluster(node ?? '');
      return;
    case 'rejoin':
      await rejoinCluster(next.nodes ?? []);
      return;
    case 'migrate-slots':
      assert.ok(typeof slots === 'object');
      await migrateSlots(node ?? '', target ?? '', slots, options);
      return;
    case 'quit':
      await quitCluster(node ?? '');
      return;
    case 'shutdown':
      await shutdownCluster(node ?? '');
      return;
    case 'rescue':
      await rescueCluster(cluster, node ?? fresh);
      return;
    case 'check':
      await check(cluster);
      return;
    case 'fix':
      await fixMigrating(cluster, { ...options, agreeTimeout });
      return;
    case 'join':
      await joinCluster(cluster, node ?? fresh);
      return;
    case 'join-no-load':
      await joinNoLoad(cluster, node ?? fresh);
      return;
    case 'spread':
      await spread(cluster, options);
      return;
    case 'rebalance':
      await rebalance(cluster, options);
      return;
    case 'reshard':
      assert.ok(typeof slots === 'number');
      await reshard(cluster, { from: 'all', to: target ?? '', slots });
      return;
    default:
      assert.fail(`No hand for ${act}`);
  }
}

/** The error of a call that has to fail. */
export async function refusalOf(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ClusterError) return error;
  throw error ?? new Error('It was not refused');
}

/** The advice of one act. */
export function adviceFor(next: readonly Next[] | undefined, act: Next['do'], when?: Next['when']): Next {
  const found = next?.find((one) => one.do === act && (when === undefined || one.when === when));
  assert.ok(found, `${act} is not advised: ${JSON.stringify(next)}`);
  return found;
}

/** What `check` advises about the first finding of a kind. Fails if there is none. */
export async function nextOf(seed: ServerNode, kind: FindingKind): Promise<readonly Next[]> {
  const { findings } = await check(seed.address);
  const found = findings.find((one) => one.kind === kind);
  assert.ok(found, `no ${kind} among ${findings.map((one) => one.kind).join()}`);
  return found.next ?? [];
}
