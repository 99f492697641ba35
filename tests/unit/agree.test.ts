import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Account } from '../../lib/nodes/account.ts';
import { waitForAgreement } from '../../lib/nodes/agreement.ts';
import { Connections } from '../../lib/nodes/connections.ts';
import { settingsOf } from '../../lib/settings.ts';
import { bulk, startMadeUp } from '../helpers/made-up-server.ts';

const ID = 'a'.repeat(40);

test('`waitForAgreement()` asks a node that is only waiting to serve for CLUSTER INFO, and then for CLUSTER NODES', async () => {
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
  const rest = { options: {}, emit: () => {}, signal: undefined, account: new Account() };
  const context = { connections, settings: settingsOf({}), ...rest };
  await waitForAgreement(context, { members: [{ id: ID, address: server.address }] }, 'the node to serve');
  await connections.close();
  const nodes = server.commands.filter(([, word]) => word === 'NODES');
  assert.ok(looks > 8);
  assert.ok(nodes.length <= 4, `asked ${nodes.length} times for CLUSTER NODES`);
});
