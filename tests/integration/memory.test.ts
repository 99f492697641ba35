// What our own process keeps while it runs for long.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { runScript } from '../helpers/child.ts';
import { at, startMasters } from '../helpers/clusters.ts';

/** Less than what a thousand leaked connections would take. */
const MOST_GROWN = 1024 * 1024;

let bed: Bed;
/** A cluster of three masters, and a node in no cluster. */
let nodes: readonly ServerNode[];
before(async () => {
  bed = await openBed();
  nodes = await startMasters(bed, 3, 1);
});
after(() => bed.close());

describe('A process that looks again and again', { concurrency: true }, () => {
  it('keeps no memory and no socket', async (context) => {
    const node = at(nodes, 0);
    const { grown, sockets, listeners } = await runScript<Record<'grown' | 'sockets' | 'listeners', number>>(
      'many-looks',
      [node.address, '1000'],
    );
    context.diagnostic(`${grown} bytes more after 1000 looks`);
    assert.deepEqual({ sockets, listeners }, { sockets: 0, listeners: 0 });
    assert.ok(grown < MOST_GROWN, `${grown} bytes more after 1000 looks`);
  });

  it('uses at most 50 kB for an idle connection', async (context) => {
    const node = at(nodes, 3);
    const cost = await runScript<Record<'bytes' | 'resident', number>>('idle-connections', [
      node.host,
      `${node.port}`,
      '500',
    ]);
    context.diagnostic(`${cost.bytes} bytes of heap, ${cost.resident} bytes of memory for each of 500`);
    assert.ok(Math.max(cost.bytes, cost.resident) <= 50_000, JSON.stringify(cost));
  });
});
