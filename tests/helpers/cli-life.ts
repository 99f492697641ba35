// Every command that changes a cluster, as in the README, one after the other, from no cluster to none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { keysOn, load } from './cli-runs.ts';
import { at, bePatient, declaredFailed, idOfNode, tell } from './clusters.ts';

/** Runs a command that changes something, first with --dry-run. Resolves to how many slots it moved. */
export type Change = (nodes: readonly ServerNode[], args: readonly string[]) => Promise<number>;

const KEYS = 2000;

/** Registers a test for each command. `nodesOf` gives eight nodes in no cluster. The last test leaves one of them dead. */
export function testLife(nodesOf: () => readonly ServerNode[], change: Change): void {
  const node = (place: number): ServerNode => at(nodesOf(), place);
  const name = (place: number): string => node(place).address;
  const moves = async (args: readonly string[], slots: number): Promise<void> => {
    assert.equal(await change(nodesOf(), args), slots);
  };

  test('start', () => moves(['start', name(6)], 0));
  test('start_multi', () => moves(['start_multi', name(3), name(7)], 0));
  test('create', () => moves(['create', name(0), name(1), name(2), '--yes'], 0));
  test('shutdown', () => moves(['shutdown', name(6)], 0));
  test('quit moves the slots of the node', () => moves(['quit', name(3)], 8192));
  test('join moves slots with their keys', async () => {
    const members = [0, 1, 2].map(node);
    await bePatient(members);
    await load(members, KEYS);
    await moves(['join', name(0), name(3)], 4096);
  });
  test('replicate', () => moves(['replicate', name(0), name(4)], 0));
  test('join_no_load', () => moves(['join_no_load', name(1), name(5)], 0));
  test('migrate_slots', () =>
    moves(['migrate_slots', name(2), name(5), '16380', '16382', '16000-16009'], 12));
  test('migrate-slots --resume, with nothing left to do', () =>
    moves(['migrate-slots', '--resume', name(2), name(5), '16380', '16382', '16000-16009'], 0));
  test('fix finishes an open slot, and does nothing the second time', async () => {
    await tell(node(1), ['CLUSTER', 'SETSLOT', '8000', 'MIGRATING', await idOfNode(node(2))]);
    await change(nodesOf(), ['fix', name(0), '--yes']);
    await moves(['fix', name(0)], 0);
  });
  test('quit loses no key', async () => {
    assert.equal(await keysOn([0, 1, 2, 3, 5].map(node)), KEYS);
    const slots = await change(nodesOf(), ['quit', name(3)]);
    assert.ok(slots >= 4095 && slots <= 4097, `${slots} slots`);
    assert.equal(await keysOn([0, 1, 2, 5].map(node)), KEYS);
  });
  test('rescue does nothing while every slot is served', () => moves(['rescue', name(0), name(6)], 0));
  test('rescue gives the slots of a dead master to a new one', async () => {
    const living = [0, 1, 2, 4].map(node);
    await Promise.all(living.map((one) => ask(one, 'CONFIG', 'SET', 'cluster-node-timeout', '1000')));
    await node(5).kill();
    await declaredFailed(living, node(5));
    await change([...living, node(6)], ['rescue', name(0), name(6)]);
  });
}
