import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { serveMetrics } from '../../lib/cli/serve-metrics.ts';
import { clusterMetrics, formatMetrics, type Metric } from '../../lib/index.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { assertSoon, at, declaredFailed, startPairs } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

function readingOf(
  metrics: readonly Metric[],
  name: string,
  ...labels: readonly string[]
): number | undefined {
  const samples = metrics.find((metric) => metric.name === `redis_trib_${name}`)?.samples ?? [];
  return samples.find((one) => Object.values(one.labels).join(' ') === labels.join(' '))?.value;
}

describe('clusterMetrics()', () => {
  it('shows a cluster before and after a node has died, as text, as JSON and by HTTP', async () => {
    const nodes = await startPairs(bed);
    const [first, second, third, replica] = [0, 1, 2, 3].map((index) => at(nodes, index));
    assert.ok(first && second && third && replica);
    await assertSoon(async () => {
      const metrics = await clusterMetrics(second.address);
      assert.equal(readingOf(metrics, 'problems', 'error'), 0);
      assert.equal(readingOf(metrics, 'master_replicas', first.address), 1);
    });
    const { code, stdout } = await runMain(['metrics', second.address]);
    assert.equal(code, 0);
    assert.match(stdout, /^# HELP redis_trib_up .*\n# TYPE redis_trib_up gauge\nredis_trib_up 1\n/);
    assert.ok(stdout.endsWith('\n# EOF\n'));
    const told = await runMain(['metrics', second.address, '--json']);
    assert.equal(readingOf(JSON.parse(told.stdout).metrics, 'slots', 'served'), 16384);

    const stop = new AbortController();
    const said: string[] = [];
    let asked = 0;
    let seed = second.address;
    const ask = () => {
      asked++;
      return clusterMetrics(seed, { connectTimeout: 500 });
    };
    const server = await serveMetrics(
      { host: '127.0.0.1', port: 0 },
      ask,
      (text) => said.push(text),
      stop.signal,
    );
    const base = `http://127.0.0.1:${server.address.port}`;
    const scrape = async (): Promise<string> => {
      const reply = await fetch(`${base}/metrics`);
      assert.equal(reply.status, 200);
      assert.match(reply.headers.get('content-type') ?? '', /^application\/openmetrics-text; version=1/);
      return reply.text();
    };
    try {
      const same = await Promise.all([scrape(), scrape(), scrape()]);
      assert.ok(asked <= same.length);
      for (const text of same) assert.match(text, /^redis_trib_healthy 1$/m);
      assert.equal((await fetch(base)).status, 404);
      assert.equal((await fetch(`${base}/metrics`, { method: 'POST' })).status, 405);

      await replica.kill();
      await declaredFailed([second, third], replica);
      await assertSoon(async () => {
        const text = await scrape();
        assert.match(
          text,
          new RegExp(`^redis_trib_node_up{node="${replica.address}",role="replica"} 0$`, 'm'),
        );
        assert.match(text, new RegExp(`^redis_trib_master_replicas{node="${first.address}"} 0$`, 'm'));
      });
      seed = replica.address;
      assert.match(await scrape(), /^redis_trib_up 0$/m);
      assert.match(await scrape(), /^redis_trib_up 0$/m);
      assert.equal(said.length, 1, 'the reason is not repeated');
    } finally {
      stop.abort();
    }
    await server.closed;
    await assert.rejects(fetch(base));
    await assert.rejects(clusterMetrics(replica.address, { connectTimeout: 500 }), { code: 'ECONNREFUSED' });
    assert.equal((await runMain(['metrics', replica.address])).code, 1);
    assert.equal((await runMain(['metrics', second.address, '--listen', 'nowhere'])).code, 2);
    assert.equal((await runMain(['metrics', second.address, '--listen', second.address])).code, 2);
    assert.equal(formatMetrics([]), '# EOF\n');
  });
});
