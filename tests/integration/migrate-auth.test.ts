import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { migrateSlots, type OperationOptions, quitCluster } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, keysOfSlot, openSlotsAt, startMasters, tell } from '../helpers/clusters.ts';

const DEFAULT = 'of the default user';
const user = { username: 'mover', password: 'pässword "with" \\ all' };

let bed: Bed;
let nodes: ServerNode[];
before(async () => {
  bed = await openBed();
  nodes = await startMasters(bed, 3, 0, { password: DEFAULT });
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

// The connections of tests write one byte for each character.
function bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** How many MIGRATE commands a node has run. */
async function migrated(node: ServerNode): Promise<number> {
  const stats = String(await ask(node, 'INFO', 'commandstats'));
  return Number(/cmdstat_migrate:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

/** Moves a slot with keys there and back, by MIGRATE or by atomic migration. */
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
    assert.equal((await migrated(from)) > before, !isAtomic, 'MIGRATE moved them');
    for (const key of keys) assert.equal(await ask(to, 'GET', key), `value of ${key}`);
  }
  assert.deepEqual(await openSlotsAt(nodes), []);
}

describe('Between nodes with a password, MIGRATE', () => {
  test('uses that of the default user if no user is given', () =>
    moveForthAndBack(0, { password: DEFAULT, method: 'migrate' }));

  test('uses name and password of a user if the default user has another password', () =>
    moveForthAndBack(1, { ...user, method: 'migrate' }));

  test('is not tried with a password that the target refuses: nothing is changed', async () => {
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

describe('Between nodes with a password, servers', () => {
  test('move slots themselves with masteruser and masterauth', async (t) => {
    const { kind, major, name } = bed.server;
    const isAble = kind === 'valkey' ? major >= 9 : name === 'redis-8.6';
    if (!isAble) return t.skip('no atomic slot migration');
    await moveForthAndBack(3, { ...user, method: 'atomic' });
  });

  test('let a node quit, which gives its slots away', async () => {
    const result = await quitCluster(at(nodes, 2).address, user);
    assert.ok(result.slots > 5000, `${result.slots} slots moved`);
  });
});
