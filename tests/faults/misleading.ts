// What makes a tool that believes one view lose keys: a node that is loading, one with another's port, one that is banned, two that
// swapped addresses, one that came back empty.
import { appendFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Next } from '../../lib/index.ts';
import { formatAddress } from '../../lib/model/address.ts';
import { ask as askApart, eventually } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { fixAdvised } from '../helpers/advice.ts';
import type { Fault, Scene } from './faults.ts';
import { runTool } from './tool.ts';
import { ask, recordsOf, type World } from './world.ts';

/** What a server keeps of its keys and of the cluster. */
const STATE = ['nodes.conf', 'appendonlydir', 'appendonly.aof', 'dump.rdb'];
const LOADING_MS = 2000;
/** Longer than any run of the tool. */
const waiting = ['--wait', '90000'];

/** Kills a server and starts it so that it answers LOADING for a while. */
export async function restartLoading(node: ServerNode, after: () => Promise<void>): Promise<void> {
  await node.kill();
  await after();
  const path = join(node.dir, 'server.conf');
  const config = await readFile(path, 'utf8');
  await appendFile(path, 'key-load-delay 2000\nloading-process-events-interval-bytes 1024\n');
  const back = node.restart();
  await sleep(LOADING_MS);
  // However many commands its file has.
  await eventually('it is told to go on', async () => {
    await askApart(node, 'CONFIG', 'SET', 'key-load-delay', '0');
    return true;
  });
  await back;
  await writeFile(path, config);
}

/** Kills a server, starts it without any state, and has the tool put it in the place of the one that is gone. */
export async function wipe(
  { members, victim }: Scene,
  heir: ServerNode,
  after: () => Promise<void>,
): Promise<void> {
  const { node, record } = victim;
  await node.kill();
  await after();
  await forgetState(node);
  await node.restart();
  const seed = members.find((one) => one.node !== node && one.node !== heir && one.record.slots.length > 0);
  await untilDone(['del_node', seed?.node.address ?? heir.address, record.id, ...waiting]);
  await untilDone(['replicate', heir.address, node.address, ...waiting]);
}

/** Two servers change places, each with its id and keys; then what check says is done, until all find one another. */
export async function swap({ members }: Scene, one: ServerNode, two: ServerNode): Promise<void> {
  await Promise.all([one.kill(), two.kill()]);
  for (const name of STATE) {
    const [a, b] = [join(one.dir, name), join(two.dir, name)];
    await rename(a, `${a}.away`).catch(() => {});
    await rename(b, a).catch(() => {});
    await rename(`${a}.away`, b).catch(() => {});
  }
  await Promise.all([one.restart(), two.restart()]);
  const nodes = members.map(({ node }) => node);
  await eventually(
    'all find one another',
    async () => {
      if (await isFoundByAll(nodes, [one, two])) return true;
      const { stdout } = await runTool(['check', one.address]);
      const { findings = [] } = JSON.parse(stdout) as {
        findings?: readonly { readonly kind: string; readonly next?: readonly Next[] }[];
      };
      for (const { kind, next = [] } of findings) {
        for (const { do: act, nodes: named = [] } of kind === 'node-moved' ? next : []) {
          if (act === 'rejoin') await runTool(['rejoin', ...named, ...waiting]);
        }
      }
      return false;
    },
    60_000,
  );
}

async function isFoundByAll(nodes: readonly ServerNode[], moved: readonly ServerNode[]): Promise<boolean> {
  const ids = await Promise.all(moved.map(async (node) => String(await ask(node, 'CLUSTER', 'MYID'))));
  const lists = await Promise.all(nodes.map(recordsOf));
  return lists
    .filter((records) => records.length > 1)
    .every((records) =>
      moved.every((node, index) =>
        records.some(
          ({ id, address, flags }) =>
            id === ids[index] &&
            (flags.includes('myself') || formatAddress(address) === node.address) &&
            !flags.includes('noaddr'),
        ),
      ),
    );
}

async function forgetState(node: ServerNode): Promise<void> {
  await Promise.all(STATE.map((name) => rm(join(node.dir, name), { recursive: true, force: true })));
}

// Others may not have noticed yet, or be in the middle of something.
async function untilDone(words: readonly string[]): Promise<void> {
  let last = '';
  for (let run = 0; run < 8; run++) {
    const { end, error } = await runTool(words);
    if (end === 0) return;
    // A move with the one that is gone is open.
    let fix = fixAdvised(error);
    for (let again = 0; fix && again < 5; again++) {
      const done = await runTool([...fix, '--yes', ...waiting]);
      if (done.end === 0) break;
      // It says what it needs: an answer about keys, or the same call once more.
      fix = fixAdvised(done.error) ?? fix;
    }
    last = `${error?.code}: ${error?.message}`;
  }
  throw new Error(`redis-trib ${words.join(' ')}: ${last}`);
}

/** A node announces the port of a server that takes whatever MIGRATE sends, and of clients nothing. */
export const stranger: Fault = {
  name: 'stranger',
  prepare: async ({ bed, nodes }, { victim: { node } }) => {
    const rules = 'on nopass ~* -@all +ping +info +restore +restore-asking +asking +select';
    const [other] = await bed.start(1, { cluster: false, config: { 'user default': rules } });
    if (!other) throw new Error('No stranger');
    await announce(node, other.port, nodes);
    return async () => {
      await announce(node, 0, nodes);
      await other.kill();
    };
  },
};

async function announce(node: ServerNode, port: number, nodes: readonly ServerNode[]): Promise<void> {
  await ask(node, 'CONFIG', 'SET', 'cluster-announce-port', `${port}`);
  const id = String(await ask(node, 'CLUSTER', 'MYID'));
  await eventually('all have heard of it', async () => {
    const lists = await Promise.all(nodes.map(recordsOf));
    return lists
      .filter((records) => records.length > 1)
      .every((records) => records.some((one) => one.id === id && one.address.port === (port || node.port)));
  });
}

/** The node that is to join was taken out with its id kept, which members ban for a minute. */
export const banned: Fault = {
  name: 'ban',
  of: 'join',
  prepare: async ({ nodes, spare }: World) => {
    const members = nodes.filter((node) => node !== spare);
    const id = String(await ask(spare, 'CLUSTER', 'MYID'));
    const [first] = members;
    if (!first) throw new Error('No member');
    await ask(first, 'CLUSTER', 'MEET', spare.host, `${spare.port}`);
    const knows = async (node: ServerNode) => (await recordsOf(node)).some((one) => one.id === id);
    await eventually('all know it', async () => (await Promise.all(members.map(knows))).every(Boolean));
    await ask(spare, 'CLUSTER', 'RESET', 'SOFT');
    await Promise.all(members.map((node) => ask(node, 'CLUSTER', 'FORGET', id)));
    return async () => {};
  },
};
