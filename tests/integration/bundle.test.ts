import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Next } from '../../lib/index.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertSoon,
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  quick,
  startMasters,
  startPairs,
  tell,
} from '../helpers/clusters.ts';
import { type Ran, runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
let folder: string;
before(async () => {
  bed = await openBed();
  folder = await mkdtemp(join(tmpdir(), 'bundle-'));
});
after(async () => {
  await rm(folder, { recursive: true });
  await bed.close();
});

let files = 0;
const USER = 'app-user';
const PATIENCE = ['--connect-timeout', '500', '--command-timeout', '500'];

interface Checked {
  readonly ok: boolean;
  readonly findings: readonly { readonly kind: string }[];
  readonly nodes: readonly Record<string, string>[];
}

/** What a run of check said, without figures that change while one looks. */
function checked({ stdout }: Ran): Checked {
  const { ok, findings, nodes } = JSON.parse(stdout) as Checked;
  return { ok, findings, nodes: nodes.map(({ usedMemory: _, ...node }) => node as Record<string, string>) };
}

/**
 * Holds that `check --from` says what `check` says, of a cluster that has at least these findings and does not change meanwhile.
 * Resolves to the file.
 */
async function assertSame(
  node: ServerNode,
  kinds: readonly string[],
  more: readonly string[] = [],
): Promise<string> {
  const env = node.password === undefined ? {} : { REDISCLI_AUTH: node.password };
  let file = '';
  const live = (...args: string[]) => runMain([...args.toSpliced(1, 0, node.address), ...PATIENCE], { env });
  // Without a password, and without a cluster.
  const later = (...args: string[]) => runMain([...args, '--from', file]);
  await assertSoon(async () => {
    file = join(folder, `${files++}.json`);
    const early = [await live('check'), await live('check', '--json')];
    const made = await live('bundle', '--output', file, ...more);
    assert.deepEqual([made.code, made.stderr], [0, '']);
    const late = [await live('check'), await live('check', '--json')];
    for (const index of [0, 1]) assert.equal(early[index]?.code, late[index]?.code);
    assert.equal(early[0]?.stdout, late[0]?.stdout, 'the cluster does not change');
    const found = checked(at(late, 1));
    assert.deepEqual(
      kinds.filter((kind) => !found.findings.some((one) => one.kind === kind)),
      [],
    );
    const [text, json] = [await later('check'), await later('check', '--json')];
    const mapped = stoodFor(checked(json), found);
    assert.deepEqual([mapped(text.stdout), text.stderr, text.code], [late[0]?.stdout, '', late[0]?.code]);
    assert.deepEqual(JSON.parse(mapped(JSON.stringify(checked(json)))), found);
    assert.equal(mapped((await later('list')).stdout), (await live('list')).stdout);
    const slot = await live('explain', '5', '--as', 'slot');
    assert.equal(mapped((await later('explain', '5', '--as', 'slot')).stdout), slot.stdout);
  }, 60_000);
  return file;
}

/** Puts the names back for which others stand. Nodes are in the same order. */
function stoodFor(other: Checked, { nodes }: Checked): (text: string) => string {
  const names = new Map<string, string>();
  for (const [index, node] of nodes.entries()) {
    for (const field of ['id', 'address']) names.set(other.nodes[index]?.[field] ?? '', node[field] ?? '');
  }
  const hosts = new Map(
    [...names].filter(([name]) => name.includes(':')).map((pair) => pair.map(hostOf) as [string, string]),
  );
  return (text) =>
    text
      .replaceAll(/\b[0-9a-f]{40}\b/g, (id) => names.get(id) ?? id)
      .replaceAll(/\d+(?:\.\d+){3}:\d+/g, (address) => names.get(address) ?? address)
      .replaceAll(/\b\d+(?:\.\d+){3}\b/g, (host) => hosts.get(host) ?? host)
      .replaceAll('user-1000', USER);
}

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':'));

/** Any number may be a port: only where ports stand. */
async function assertWithoutPorts(file: string, nodes: readonly ServerNode[]): Promise<void> {
  const text = await readFile(file, 'utf8');
  const ports = nodes.flatMap(({ port, busPort }) => [port, busPort]);
  assert.deepEqual(
    ports.filter((port) => new RegExp(`(?:port(?:[:=]|",\\s*)|\\d:|@)${port}(?!\\d)`).test(text)),
    [],
  );
}

async function assertWithout(file: string, words: readonly string[]): Promise<void> {
  const text = await readFile(file, 'utf8');
  assert.deepEqual(
    words.filter((word) => new RegExp(`(?<![\\w])${word.replaceAll('.', '\\.')}(?![\\w])`).test(text)),
    [],
  );
}

describe('bundle', { concurrency: 2 }, () => {
  it('says what check says of a healthy cluster, and holds no secret', async () => {
    const password = 'hunter-2-secret';
    const nodes = await startMasters(bed, 3, 0, { password });
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const hash = 'a'.repeat(64);
    for (const node of nodes) {
      await tell(node, ['CONFIG', 'SET', 'masterauth', password]);
      await tell(node, ['ACL', 'SETUSER', USER, 'on', `#${hash}`, '~secret-prefix:*', '+get']);
    }
    const client = new ClusterClient(first);
    const [key = ''] = keysOfSlot(5, 1, 'secretkey');
    await client.set(key, 'secretvalue');
    const file = await assertSame(first, []);
    await assertWithout(file, [password, hash, key, 'secretvalue', 'secret-prefix:', first.dir]);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const again = await runMain(['bundle', first.address, '--output', file], {
      env: { REDISCLI_AUTH: password },
    });
    assert.deepEqual([again.code, again.stdout], [2, '']);

    // A password that one node does not have is another one in the bundle, too.
    await tell(second, ['CONFIG', 'SET', 'masterauth', 'hunter-3-secret']);
    await tell(second, ['ACL', 'SETUSER', USER, '~other-prefix:*']);
    const other = await assertSame(first, ['users-differ']);
    await assertWithout(other, [password, 'hunter-3-secret', 'other-prefix:']);
    const hidden = await assertSame(first, ['users-differ'], ['--anonymous']);
    const ids = await Promise.all(nodes.map(idOfNode));
    await assertWithout(hidden, [...ids, password, 'hunter-3-secret', USER, '127.0.0.1']);
    await assertWithoutPorts(hidden, nodes);
  });

  it('says what check says of a cluster with replicas whose node has died', async () => {
    const nodes = await startPairs(bed, { ...quick, host: '127.0.0.1' });
    const [first, second, third, replica] = [0, 1, 2, 3].map((index) => at(nodes, index));
    assert.ok(first && second && third && replica);
    await replica.kill();
    await declaredFailed([first, second, third], replica);
    await assertSame(first, ['node-failed', 'master-without-replica']);
    const hidden = await assertSame(second, ['node-failed', 'master-without-replica'], ['--anonymous']);
    await assertWithout(hidden, ['127.0.0.1']);
    await assertWithoutPorts(hidden, nodes);
    const info = await runMain(['info', '--from', hidden]);
    assert.deepEqual([info.code, info.stderr], [0, '']);
  });

  it('says what check says of open slots, uncovered slots, stray keys and settings that differ', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const [a, b] = [await idOfNode(first), await idOfNode(second)];
    const [stray = ''] = keysOfSlot(7, 1);
    await tell(second, ['CLUSTER', 'SETSLOT', '5', 'IMPORTING', a]);
    await tell(first, ['CLUSTER', 'SETSLOT', '5', 'MIGRATING', b]);
    await tell(second, ['CLUSTER', 'SETSLOT', '7', 'IMPORTING', a]);
    await tell(second, ['ASKING'], ['SET', stray, 'value']);
    await tell(second, ['CLUSTER', 'SETSLOT', '7', 'STABLE']);
    await tell(third, ['CONFIG', 'SET', 'cluster-require-full-coverage', 'no']);
    await tell(third, ['CONFIG', 'SET', 'maxmemory', '100mb']);
    await assertSame(first, ['slot-open', 'settings-differ']);
    for (const node of nodes) await tell(node, ['CLUSTER', 'DELSLOTS', '16383']);
    await assertSame(first, ['slot-open', 'slots-uncovered', 'settings-differ']);
    await assertSame(second, ['slot-open', 'slots-uncovered', 'settings-differ'], ['--anonymous']);
  });

  it('says what check says of slots whose master all others have forgotten, which only the bus shows', async () => {
    const nodes = await startMasters(bed, 4);
    const [first, lost] = [at(nodes, 0), at(nodes, 3)];
    const id = await idOfNode(lost);
    for (const node of nodes.slice(0, 3)) await tell(node, ['CLUSTER', 'FORGET', id]);
    const advised = async (...args: string[]): Promise<unknown> => {
      const { stdout } = await runMain(['check', ...args, '--json']);
      const { findings } = JSON.parse(stdout) as { findings: { kind: string; next?: Next[] }[] };
      return findings.find(({ kind }) => kind === 'slots-uncovered')?.next?.[0];
    };
    const rejoin = { do: 'rejoin', nodes: [first.address], when: 'forgotten' };
    await assertSoon(async () => assert.deepEqual(await advised(first.address), rejoin));
    const file = join(folder, `${files++}.json`);
    assert.equal((await runMain(['bundle', first.address, '--output', file])).code, 0);
    await Promise.all(nodes.map((node) => node.kill()));
    assert.deepEqual(await advised('--from', file), rejoin);
  });

  it('says what check says of a node that is silent, and of one that refuses', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await tell(third, ['CONFIG', 'SET', 'requirepass', 'other']);
    await second.freeze();
    try {
      await assertSame(first, ['node-refuses', 'node-unreachable'], ['--anonymous']);
    } finally {
      await second.thaw();
    }
  });
});
