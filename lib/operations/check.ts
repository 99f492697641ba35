import { look } from '../apply/look.ts';
import { type Finding, findingsOf } from '../model/findings.ts';
import type { ClusterView } from '../model/view.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

/** The state of a cluster and what is wrong with it. */
export interface CheckResult {
  /** True if there is no finding of severity `error`. */
  readonly ok: boolean;
  /** Errors first. */
  readonly findings: readonly Finding[];
  readonly view: ClusterView;
}

/** Asks every node and tells what is wrong. Changes nothing. Rejects only where the first node gives no answer. */
export function check(cluster: ClusterLike, options: ConnectionOptions = {}): Promise<CheckResult> {
  return withContext(cluster, options, async ({ connections }) => {
    const view = await look(connections, seedOf(cluster));
    const findings = findingsOf(view);
    return { ok: findings.every(({ severity }) => severity !== 'error'), findings, view };
  });
}
