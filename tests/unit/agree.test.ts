import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitForAgreement } from '../../lib/apply/agree.ts';
import { Connections } from '../../lib/apply/connections.ts';
import { bulk, startMadeUp } from '../helpers/made-up-server.ts';

const ID = 'a'.repeat(40);

test('`waitForAgreement()` asks a node that only has to wait for CLUSTER INFO, and for CLUSTER NODES when that is over', async () => {
  let looks = 0;
  await using server = await startMadeUp(([first = '', second = ''], port) => {
    if (first === 'CLIENT') return '+OK\r\n';
    if (second === 'NODES')
      return bulk(`${ID} 127.0.0.1:${port}@1 myself,master - 0 0 1 connected 0-16383\n`);
    looks++;
    const state = looks > 8 ? 'ok' : 'fail';
    return bulk(`cluster_state:${state}\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:1\r\n`);
  });
  const connections = new Connections({});
  const context = { connections, options: {}, emit: () => {}, signal: undefined };
  await waitForAgreement(context, { members: [{ id: ID, address: server.address }] }, 'the node to serve');
  await connections.close();
  const nodes = server.commands.filter(([, word]) => word === 'NODES');
  assert.ok(looks > 8);
  assert.ok(nodes.length <= 4, `asked ${nodes.length} times for CLUSTER NODES`);
});
