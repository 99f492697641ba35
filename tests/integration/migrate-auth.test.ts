import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { migrateSlots, type OperationOptions, quitCluster } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, keysOfSlot, openSlotsAt, quick, startMasters, tell } from '../helpers/clusters.ts';

const DEFAULT = 'of the default user';
const user = { username: 'mover', password: 'pässword "with" \\ all' };

let bed: Bed;
let nodes: ServerNode[];
before(async () => {
  bed = await openBed();
  nodes = await startMasters(bed, 3, 0, { ...quick, password: DEFAULT });
  for (const node of nodes) {
    await tell(
      node,
      ['ACL', 'SETUSER', user.username, 'on', `>${bytes(user.password)}`, '~*', '+@all'],
      ['CONFIG', 'SET', 'masteruser', user.username],
      ['CONFIG', 'SET', 'masterauth', bytes(user.password)],
    );
  }
});
after(() => bed.close());

// The connections of tests write one byte a character.
function bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** How many MIGRATE a node has carried out. */
async function migrated(node: ServerNode): Promise<number> {
  const stats = String(await ask(node, 'INFO', 'commandstats'));
  return Number(/cmdstat_migrate:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

/** Moves a slot with keys there and back, by the source's MIGRATE each time or by the servers themselves. */
async function moveForthAndBack(slot: number, options: OperationOptions): Promise<void> {
  const [first, second] = [at(nodes, 0), at(nodes, 1)];
  const keys = keysOfSlot(slot, 30);
  await tell(first, ...keys.map((key) => ['SET', key, `value of ${key}`]));
  for (const [from, to] of [
    [first, second],
    [second, first],
  ] as const) {
    const before = await migrated(from);
    const result = await migrateSlots(from.address, to.address, [slot], options);
    assert.equal(result.keys, 30);
    const isAtomic = options.method === 'atomic';
    assert.equal((await migrated(from)) > before, !isAtomic, 'MIGRATE was what moved them');
    for (const key of keys) assert.equal(await ask(to, 'GET', key), `value of ${key}`);
  }
  assert.deepEqual(await openSlotsAt(nodes), []);
}

describe('Between nodes that want a password, MIGRATE', () => {
  test('gives that of the default user, where none is named', () =>
    moveForthAndBack(0, { password: DEFAULT, method: 'migrate' }));

  test('gives name and password of a user, where the default user has another password', () =>
    moveForthAndBack(1, { ...user, method: 'migrate' }));

  test('is not given a password that the target does not take: nothing is changed', async () => {
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await ask(second, 'ACL', 'SETUSER', user.username, 'resetpass', '>another');
    await assert.rejects(migrateSlots(first.address, second.address, [2], { ...user, method: 'migrate' }), {
      name: 'ReplyError',
      code: 'WRONGPASS',
      address: second.address,
    });
    assert.deepEqual(await openSlotsAt(nodes), []);
    await tell(second, ['ACL', 'SETUSER', user.username, 'resetpass', `>${bytes(user.password)}`]);
  });
});

describe('Between nodes that want a password, the servers', () => {
  test('move slots themselves by masteruser and masterauth', async (t) => {
    const { kind, major, name } = bed.server;
    const isAble = kind === 'valkey' ? major >= 9 : name === 'redis-8.6';
    if (!isAble) return t.skip('It has no atomic slot migration');
    await moveForthAndBack(3, { ...user, method: 'atomic' });
  });

  test('let one leave that gave its slots away', async () => {
    const result = await quitCluster(at(nodes, 2).address, user);
    assert.ok(result.slots > 5000, `${result.slots} slots moved`);
  });
});
