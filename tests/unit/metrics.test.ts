import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findingsOf } from '../../lib/findings/findings.ts';
import { metricsOf } from '../../lib/findings/metrics.ts';
import { formatMetrics, type Metric } from '../../lib/model/metric.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, detailsOf, idOf, type Line, portOf } from '../helpers/views.ts';

const nameOf = (node: number) => `127.0.0.1:${portOf(node)}`;

function metricsFrom(
  lines: readonly Line[],
  {
    silent = [],
    details = new Map(),
  }: { silent?: readonly number[]; details?: Parameters<typeof metricsOf>[0]['details'] } = {},
): Metric[] {
  const view = agreedView(lines, silent);
  return metricsOf({ view, details, findings: findingsOf(view, { details }), elapsedMs: 12 });
}

/** The values of a metric, by its labels. */
function valuesOf(metrics: readonly Metric[], name: string): Record<string, number> {
  const metric = metrics.find((one) => one.name === `redis_trib_${name}`);
  assert.ok(metric, name);
  return Object.fromEntries(
    metric.samples.map(({ labels, value }) => [Object.values(labels).join(' '), value]),
  );
}

const pair: readonly Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
  { node: 3, flags: 'slave', master: 1 },
];

describe('metricsOf()', () => {
  test('says of a cluster that is whole that it is, and how far a replica is behind', () => {
    const details = new Map([
      [idOf(1), detailsOf({ offset: 500 })],
      [idOf(2), detailsOf({ offset: 7 })],
      [idOf(3), detailsOf({ offset: 440, link: { status: 'up' } })],
    ]);
    const metrics = metricsFrom(pair, { details });
    assert.deepEqual(valuesOf(metrics, 'up'), { '': 1 });
    assert.deepEqual(valuesOf(metrics, 'slots'), { served: 16384, unserved: 0 });
    assert.deepEqual(valuesOf(metrics, 'master_slots'), { [nameOf(1)]: 8192, [nameOf(2)]: 8192 });
    assert.deepEqual(valuesOf(metrics, 'master_replicas'), { [nameOf(1)]: 1, [nameOf(2)]: 0 });
    assert.deepEqual(valuesOf(metrics, 'replication_lag_bytes'), { [`${nameOf(1)} ${nameOf(3)}`]: 60 });
    assert.deepEqual(valuesOf(metrics, 'nodes'), { 'master healthy': 2, 'replica healthy': 1 });
    assert.deepEqual(valuesOf(metrics, 'open_slots'), {});
  });

  test('shows what is open, silent and not served', () => {
    const metrics = metricsFrom(
      [
        { node: 1, slots: `0-8191 [5->-${idOf(2)}] [6->-${idOf(2)}]` },
        { node: 2, slots: '8192-16383', flags: 'master,fail', link: 'disconnected' },
        { node: 3, flags: 'slave', master: 1 },
      ],
      { silent: [2] },
    );
    assert.deepEqual(valuesOf(metrics, 'healthy'), { '': 0 });
    assert.deepEqual(valuesOf(metrics, 'slots'), { served: 8192, unserved: 8192 });
    assert.deepEqual(valuesOf(metrics, 'open_slots'), { [`${nameOf(1)} migrating`]: 2 });
    assert.equal(valuesOf(metrics, 'node_up')[`${nameOf(2)} master`], 0);
    assert.equal(valuesOf(metrics, 'findings')['slot-open error'], 2);
  });
});

describe('formatMetrics()', () => {
  const SAMPLE = /^([a-z_]+)(?:\{([a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (-?\d+(?:\.\d+)?(?:e-?\d+)?)$/;

  test('writes what OpenMetrics allows, whatever the labels contain', () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.constantFrom('node', 'kind'), fc.string({ unit: 'binary', maxLength: 8 }))),
        (all) => {
          const samples = all.map((labels, value) => ({ labels, value }));
          const lines = formatMetrics([{ name: 'redis_trib_x', help: 'Some', samples }]).split('\n');
          assert.deepEqual(lines.slice(0, 2), ['# HELP redis_trib_x Some', '# TYPE redis_trib_x gauge']);
          assert.deepEqual(lines.slice(-2), ['# EOF', '']);
          assert.equal(lines.length, 4 + all.length);
          for (const line of lines.slice(2, -2)) assert.match(line, SAMPLE);
        },
      ),
    );
  });

  test('gives each metric a name, a text and samples that differ in their labels', () => {
    const metrics = metricsFrom(pair);
    assert.equal(new Set(metrics.map(({ name }) => name)).size, metrics.length);
    for (const { name, help, samples } of metrics) {
      assert.match(name, /^redis_trib_[a-z_]+$/);
      assert.notEqual(help, '');
      assert.equal(new Set(samples.map(({ labels }) => JSON.stringify(labels))).size, samples.length, name);
    }
  });
});
