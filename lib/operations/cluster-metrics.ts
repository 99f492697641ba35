import { metricsOf } from '../findings/metrics.ts';
import type { Metric } from '../model/metric.ts';
import { type CheckOptions, check } from './check.ts';
import type { ClusterLike } from './cluster.ts';

/**
 * Asks every node, as `check` does, and returns the state of the cluster as gauges: agreement, coverage, placement and findings.
 * `formatMetrics` makes them the text that Prometheus reads. Changes nothing. Rejects only if the first node does not answer.
 */
export async function clusterMetrics(cluster: ClusterLike, options: CheckOptions = {}): Promise<Metric[]> {
  const started = performance.now();
  const found = await check(cluster, options);
  return metricsOf({ ...found, elapsedMs: performance.now() - started });
}
