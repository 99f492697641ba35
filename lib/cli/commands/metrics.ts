import { messageOf } from '../../errors.ts';
import { formatAddress, parseAddress } from '../../model/address.ts';
import { formatMetrics, type Metric } from '../../model/metric.ts';
import type { Command } from '../command.ts';
import { UsageError } from '../io.ts';
import { zoneFlag, zonesOf } from '../zones.ts';

/** The data of `metrics`; with --listen, where they were served and how often they were asked for. */
export type MetricsData =
  | { readonly metrics: readonly Metric[] }
  | { readonly url: string; readonly scrapes: number };

export const metricsCommand: Command<'metrics'> = {
  name: 'metrics',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Print the state of a cluster as metrics for Prometheus',
  details:
    'Agreement, coverage, placement, lag and findings, as OpenMetrics text: what no exporter on a single node can know.\n' +
    'Write it to a file for the textfile collector, or serve it with --listen, where each scrape asks the cluster once.',
  example: '127.0.0.1:7000',
  isLive: true,
  flags: {
    zone: zoneFlag,
    listen: {
      type: 'string',
      value: 'HOST:PORT',
      help: 'Serve them on http://HOST:PORT/metrics until interrupted',
    },
  },
  run: async ({ positionals: [cluster = ''], elsewhere, options, values, io }) => {
    const { clusterMetrics } = await import('../../operations/cluster-metrics.ts');
    const ask = () => clusterMetrics(cluster, { ...options, zones: zonesOf(values), elsewhere });
    if (values.listen === undefined) {
      const metrics = await ask();
      return { ok: true, text: formatMetrics(metrics).trimEnd(), data: { metrics } };
    }
    const { serveMetrics } = await import('../serve-metrics.ts');
    const tell = (reason: string) => io.stderr(`Cannot ask the cluster: ${reason}\n`);
    const server = await serveMetrics(listenAt(`${values.listen}`), ask, tell, io.signal).catch((error) => {
      throw new UsageError(`Cannot serve at --listen "${values.listen}": ${messageOf(error)}`);
    });
    const url = `http://${formatAddress(server.address)}/metrics`;
    if (values.json !== true && values['json-stream'] !== true) io.stdout(`Listening on ${url}\n`);
    await server.closed;
    return { ok: true, text: `Served ${server.scrapes()} times`, data: { url, scrapes: server.scrapes() } };
  },
};

function listenAt(text: string): ReturnType<typeof parseAddress> {
  try {
    return parseAddress(text);
  } catch {
    throw new UsageError(`Not an address to listen at: "${text}" (expected HOST:PORT)`);
  }
}
