/** A gauge of OpenMetrics, with its values by label. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly MetricSample[];
}

export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Whether the cluster could be asked. */
export function upMetric(isUp: boolean): Metric {
  const samples = [{ labels: {}, value: isUp ? 1 : 0 }];
  return { name: 'redis_trib_up', help: '1 if the cluster could be asked', samples };
}

/** The metrics as OpenMetrics text, which Prometheus reads, from a file or by HTTP. Source: the OpenMetrics specification, 1.0.0. */
export function formatMetrics(metrics: readonly Metric[]): string {
  const lines = metrics.flatMap(({ name, help, samples }) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} gauge`,
    ...samples.map(({ labels, value }) => `${name}${formatLabels(labels)} ${value}`),
  ]);
  return [...lines, '# EOF', ''].join('\n');
}

function formatLabels(labels: MetricSample['labels']): string {
  const texts = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`,
  );
  return texts.length === 0 ? '' : `{${texts.join(',')}}`;
}
