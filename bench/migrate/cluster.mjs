import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { parseClusterNodes } from '../../lib/model/node-lines.ts';
import { expandSlots } from '../../lib/model/slot.ts';
import { connectTo, eventually } from '../../tests/bed/client.ts';
import { findProgram, serverTool } from '../../tests/bed/servers.ts';
import { idOfNode, openSlotsAt, settled, startMasters, tagOfSlot } from '../../tests/helpers/clusters.ts';

const CHUNK = 2000;
const SAMPLES = 50;
/** Servers may delete in the background what they have given away. */
const REMOVED_MS = 60_000;

/** Incompressible bytes, as text without line ends. */
const pool = randomBytes(1 << 20).toString('base64');
export function text(size) {
  const start = Math.floor(Math.random() * (pool.length - size));
  return pool.slice(start, start + size);
}

/** The command-line tool that came with the servers. */
export function toolOf({ server }) {
  const fetched = serverTool(server.name, 'cli');
  const tool = existsSync(fetched) ? fetched : findProgram(`${server.kind}-cli`);
  if (tool === undefined) throw new Error(`Cannot find ${server.kind}-cli to compare with`);
  return tool;
}

/** Three masters that share the slots, and a spare node that is not in a cluster yet. */
export async function startCluster(bed, spare, options) {
  const { major } = bed.server;
  // Otherwise a master that gives its last slot away becomes a replica, and must be made a master again in every round.
  const stay = bed.server.kind === 'valkey' || major >= 7 ? { 'cluster-allow-replica-migration': 'no' } : {};
  const config = { 'cluster-node-timeout': '5000', ...stay };
  const nodes = await startMasters(bed, 3, spare, { config, ...options });
  return new TestCluster(nodes.slice(0, 3), nodes.slice(3));
}

/** A cluster with a known number of keys in each slot. */
class TestCluster {
  expected = new Array(16_384).fill(0);
  #samples = new Map();

  constructor(members, spare) {
    this.members = members;
    this.spare = spare;
  }

  get keys() {
    return this.expected.reduce((sum, count) => sum + count, 0);
  }

  /** Runs commands on a node, some thousands in flight; fails if one is refused. */
  async tell(node, commands) {
    const connection = await connectTo(node);
    const replies = [];
    try {
      for (let from = 0; from < commands.length; from += CHUNK) {
        for (const reply of await connection.pipeline(commands.slice(from, from + CHUNK))) {
          if (reply instanceof Error) throw reply;
          replies.push(reply);
        }
      }
    } finally {
      connection.destroy();
    }
    return replies;
  }

  /** The slots of each member, as the member reports. */
  async owned() {
    return Promise.all(
      this.members.map(async (node) => {
        const [reply] = await this.tell(node, [['CLUSTER', 'NODES']]);
        const myself = parseClusterNodes(String(reply)).find(({ flags }) => flags.includes('myself'));
        return expandSlots(myself.slots);
      }),
    );
  }

  /** Puts keys into slots. `write` returns the command that creates a key, `read` the one that reads it. */
  async load(slots, keysInSlot, write, read) {
    const wanted = new Set(slots);
    const owned = await this.owned();
    for (const [place, node] of this.members.entries()) {
      const connection = await connectTo(node);
      let commands = [];
      let size = 0;
      const send = async () => {
        for (const reply of await connection.pipeline(commands)) if (reply instanceof Error) throw reply;
        commands = [];
        size = 0;
      };
      try {
        for (const slot of owned[place].filter((each) => wanted.has(each))) {
          const tag = tagOfSlot(slot);
          for (let index = 0; index < keysInSlot; index++) {
            const command = write(`key:${index}:{${tag}}`);
            commands.push(command);
            size += command.reduce((sum, word) => sum + String(word).length, 0);
            if (commands.length >= CHUNK || size > 4e6) await send();
          }
          this.expected[slot] += keysInSlot;
        }
        await send();
      } finally {
        connection.destroy();
      }
    }
    for (let index = 0; keysInSlot > 0 && index < SAMPLES; index++) {
      const slot = slots[Math.floor((index * slots.length) / SAMPLES)];
      const command = read(`key:${index % keysInSlot}:{${tagOfSlot(slot)}}`);
      this.#samples.set(`${slot} ${index}`, { slot, command });
    }
    for (const sample of this.#samples.values()) sample.value ??= await this.#read(sample, owned);
  }

  /** In practice, moves are far enough apart for gossip to catch up: the next candidate must not have to wait for it. */
  async #agreeOnEpochs() {
    const texts = await Promise.all(
      this.members.map(async (node) => {
        const [nodes, info] = await this.tell(node, [
          ['CLUSTER', 'NODES'],
          ['CLUSTER', 'INFO'],
        ]);
        const epochs = parseClusterNodes(String(nodes)).map(({ id, configEpoch }) => `${id} ${configEpoch}`);
        return [...epochs.sort(), /^cluster_current_epoch:\d+/m.exec(String(info))?.[0]].join('\n');
      }),
    );
    return new Set(texts).size === 1;
  }

  async #read({ slot, command }, owned) {
    const place = owned.findIndex((slots) => slots.includes(slot));
    const [reply] = await this.tell(this.members[place], [command]);
    return Array.isArray(reply) && command[0] === 'HGETALL' ? [...reply].sort() : reply;
  }

  /** Fails unless every key is on the owner of its slot and nowhere else, no slot is open, and all nodes agree. */
  async verify() {
    await settled(this.members);
    await eventually('every node knows the epochs of all', () => this.#agreeOnEpochs());
    assert.deepEqual(await openSlotsAt(this.members), []);
    const owned = await this.owned();
    assert.equal(owned.flat().length, 16_384, 'slots with an owner');
    await eventually(
      'every node holds the keys of its slots and no others',
      async () => {
        for (const [place, node] of this.members.entries()) {
          const [size, ...counts] = await this.tell(node, [
            ['DBSIZE'],
            ...owned[place].map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', String(slot)]),
          ]);
          const wanted = owned[place].map((slot) => this.expected[slot]);
          assert.deepEqual(counts, wanted, `keys by slot on ${node.address}`);
          assert.equal(size, sum(wanted), `keys on ${node.address}`);
        }
        return true;
      },
      REMOVED_MS,
    );
    for (const sample of this.#samples.values()) {
      assert.deepEqual(await this.#read(sample, owned), sample.value, `value in slot ${sample.slot}`);
    }
  }

  /** Fails unless the node owns these slots. */
  async verifyHolds(node, slots) {
    const held = new Set((await this.owned())[this.members.indexOf(node)]);
    const missing = slots.filter((slot) => !held.has(slot));
    assert.deepEqual(missing, [], `slots that ${node.address} does not own`);
  }

  /** How many slots a node has; 0 if it is not a member. */
  async countSlots(node) {
    const place = this.members.indexOf(node);
    return place < 0 ? 0 : (await this.owned())[place].length;
  }

  idOf(node) {
    return idOfNode(node);
  }
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
