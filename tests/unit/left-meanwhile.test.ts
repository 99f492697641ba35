// Members that the first view lists and the second does not: the last of them forgets a node that leaves between the two, as in a run that is
// finished by gossip or by another. It answers and is not dead: only its reset is left.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { delNode, replaceNodes } from '../../lib/index.ts';
import { type MadeUpCluster, startMadeUpCluster } from '../helpers/made-up-cluster.ts';
import { bulk } from '../helpers/made-up-server.ts';
import { type Line, nodesText } from '../helpers/views.ts';

const [LEAVER, LATE, BY] = [4, 3, 5];
const members: readonly Line[] = [
  { node: 1, slots: '0-5460' },
  { node: 2, slots: '5461-10922' },
  { node: LATE, slots: '10923-16383' },
  { node: BY },
];
const all: readonly Line[] = [...members, { node: LEAVER }];

/** Until it has been asked once, one member lists the node that leaves. */
async function cluster(): Promise<MadeUpCluster> {
  let asked = 0;
  const known = { lines: members };
  const reports = { 1: known, 2: known, [LATE]: known, [BY]: known, [LEAVER]: { lines: all } };
  return startMadeUpCluster(reports, {
    odd: (node, words, withPorts) => {
      if (node !== LATE || words.join(' ').toUpperCase() !== 'CLUSTER NODES' || asked++ > 0) return undefined;
      return bulk(`${withPorts(nodesText(LATE, all))}\n`);
    },
  });
}

describe('A node that the last member forgets while it is looked at', () => {
  test('is reset by `delNode()`', async () => {
    await using made = await cluster();
    const { plan } = await delNode(made.address(1), made.address(LEAVER), { dryRun: true });
    assert.deepEqual(
      plan.steps.map(({ type }) => type),
      ['reset'],
    );
  });

  test('is reset by `replaceNodes()`', async () => {
    await using made = await cluster();
    const pairs = [{ node: made.address(LEAVER), by: made.address(BY) }];
    const { plan } = await replaceNodes(made.address(1), pairs, { dryRun: true });
    assert.deepEqual(
      plan.steps.map(({ type }) => type),
      ['reset'],
    );
  });
});
