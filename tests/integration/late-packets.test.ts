import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { migrateSlots } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { forward } from '../bed/forward.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  recordsOf,
  startMasters,
  tell,
} from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** A way that packets take from one node to another, which can be held up. */
interface BusWay {
  hold(): void;
  release(): void;
  /** Bytes that were sent since it was held. */
  readonly heldBytes: number;
  close(): void;
}

/** Makes other nodes connect to the bus port of a node by way of a forwarder, which can hold what they ask, or what they are answered. */
async function wayTo(node: ServerNode, holds: 'questions' | 'answers'): Promise<BusWay> {
  const sockets = new Set<Socket>();
  const wake = new Set<() => void>();
  let [isHeld, heldBytes] = [false, 0];
  const open = { isOpen: () => true, delayMs: () => 0 };
  const server = createServer((theirs) => {
    const ours = connect(node.busPort, node.host);
    for (const socket of [theirs, ours]) sockets.add(socket.on('error', () => undefined));
    const [from, to] = holds === 'questions' ? [theirs, ours] : [ours, theirs];
    from.on('data', ({ length }) => {
      heldBytes += isHeld ? length : 0;
    });
    wake.add(forward(from, to, { ...open, isOpen: () => !isHeld }));
    forward(to, from, open);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  await ask(node, 'CONFIG', 'SET', 'cluster-announce-bus-port', `${port}`);
  await eventually('packets go by way of the forwarder', async () => sockets.size > 0);
  return {
    hold() {
      [isHeld, heldBytes] = [true, 0];
    },
    release() {
      isHeld = false;
      for (const each of wake) each();
    },
    get heldBytes() {
      return heldBytes;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const slots = Array.from({ length: 10 }, (_, index) => 100 + index);

/** As an operator does it by hand. */
async function giveBack(from: ServerNode, to: ServerNode): Promise<void> {
  const [giver, taker] = [await idOfNode(from), await idOfNode(to)];
  const states = slots.map((slot) => ['CLUSTER', 'SETSLOT', `${slot}`]);
  await tell(to, ...states.map((words) => [...words, 'IMPORTING', giver]));
  for (const node of [to, from]) await tell(node, ...states.map((words) => [...words, 'NODE', taker]));
}

/** Holds a packet that the source sent without these slots, before it got them back with keys. Resolves to the keys. */
async function holdPacket(way: BusWay, source: ServerNode, target: ServerNode): Promise<readonly string[]> {
  for (const node of [source, target])
    await eventually('the nodes are linked', async () =>
      (await recordsOf(node)).every(({ linkState }) => linkState === 'connected'),
    );
  await migrateSlots(source.address, target.address, slots, { method: 'migrate' });
  way.hold();
  await eventually('the source sends a packet', async () => way.heldBytes > 0);
  await giveBack(target, source);
  const keys = slots.flatMap((slot) => keysOfSlot(slot, 20));
  await tell(source, ...keys.map((key) => ['SET', key, key]));
  return keys;
}

async function assertMoved(source: ServerNode, target: ServerNode, keys: readonly string[]): Promise<void> {
  await assertLayout([
    [source, '0-99 110-8191'],
    [target, '100-109 8192-16383'],
  ]);
  const client = new ClusterClient(target);
  for (const key of keys) assert.equal(await client.get(key), key);
  await client.close();
}

describe('A packet that the source sent before it got slots back', () => {
  for (const link of ["the source's", "the target's"] as const)
    it(`takes no slot away from it when it arrives late on ${link} link`, async (t) => {
      if (bed.server.major < 7) return t.skip('cannot change the bus port that it announces');
      const nodes = await startMasters(bed, 2);
      const [source, target] = [at(nodes, 0), at(nodes, 1)];
      const isOwn = link === "the source's";
      const way = await (isOwn ? wayTo(target, 'questions') : wayTo(source, 'answers'));
      try {
        const keys = await holdPacket(way, source, target);

        const moving = migrateSlots(source.address, target.address, slots, { method: 'migrate' });
        moving.catch(() => undefined);
        const isOpen = async () => (await openSlotsAt([target])).length > 0;
        await eventually('the target imports', isOpen, 1500).catch(() => undefined);
        way.release();
        await moving;
        await assertMoved(source, target, keys);
        assert.deepEqual(await openSlotsAt(nodes), []);
      } finally {
        way.close();
      }
    });

  // Redis 7.0.13 to 7.2.3 keep in mind that the owner of a slot did not claim it once, whoever owns it by then. Then they give
  // the slot to any node that claims it, whatever its config epoch, and delete its keys.
  it('takes no slot away from the target when it arrives after the move, though one that did not claim it came before', async (t) => {
    if (bed.server.major < 7) return t.skip('cannot change the bus port that it announces');
    const nodes = await startMasters(bed, 2);
    const [source, target] = [at(nodes, 0), at(nodes, 1)];
    const way = await wayTo(source, 'answers');
    try {
      const keys = await holdPacket(way, source, target);
      way.release();
      const isAnswered = async () => {
        const line = String(await ask(target, 'CLUSTER', 'NODES'))
          .split('\n')
          .find((text) => text.includes(`:${source.port}@`));
        return line?.split(' ')[4] === '0';
      };
      await eventually('the target has handled it', isAnswered);

      const limits = { keysPerSecond: 100 };
      const moving = migrateSlots(source.address, target.address, slots, { method: 'migrate', limits });
      moving.catch(() => undefined);
      await eventually('the target imports', async () => (await openSlotsAt([target])).length > 0);
      way.hold();
      await eventually('the source sends a packet that claims the slots', async () => way.heldBytes > 0);
      await moving;
      way.release();
      await eventually('the target has handled it', isAnswered);
      await assertMoved(source, target, keys);
    } finally {
      way.close();
    }
  });
});
