import { joinCluster, joinNoLoad, quitCluster, rebalance, reshard } from '../../lib/index.ts';
import { expandSlots, SLOT_COUNT } from '../../lib/model/slot.ts';
import { connectTo } from '../../tests/bed/client.ts';
import { idOfNode, recordsOf, settled, startMasters, tagOfSlot } from '../../tests/helpers/clusters.ts';
import { text } from '../migrate/cluster.mjs';

/** Values are parts of a text of so many bytes. */
const POOL_BYTES = 2000;
const SLOTS_AT_ONCE = 20;

const operations = {
  /** A fourth master gets its share. */
  join: {
    masters: 3,
    spare: 1,
    run: ([first, , , newcomer], options) => joinCluster(first, newcomer, options),
  },
  /** Two masters without slots get their share. */
  two: {
    ...{ masters: 3, spare: 2 },
    before: async ([first, , , ...newcomers]) => {
      for (const newcomer of newcomers) await joinNoLoad(first, newcomer);
    },
    run: ([first], options) => rebalance(first, { useEmptyMasters: true, ...options }),
  },
  /** The last of three masters gives half of its slots to the first, which is to have as many as both others. */
  rebalance: {
    masters: 3,
    run: ([first, second], options) =>
      rebalance(first, { weights: { [first]: 3, [second]: 2 }, threshold: 0, ...options }),
  },
  /** Half of the slots of a master. */
  reshard: {
    masters: 3,
    run: ([first, second], options) => reshard(first, { from: [first], to: second, slots: 2700, ...options }),
  },
  /** One of four masters gives all it has to the others. */
  quit: { masters: 4, run: ([, , , last], options) => quitCluster(last, options) },
};

/** What a cluster holds: so many times the keys, with so many times the bytes. */
const holdings = {
  '': {},
  empty: { keys: 0 },
  big: { keys: 1 / 30, bytes: 50 },
  hashes: { keys: 1 / 300, fields: 1000, bytes: 0.3 },
  limited: { limited: true },
};

const methods = ['migrate', 'atomic'];

/** Cases are named OPERATION-METHOD, or OPERATION-METHOD-HOLDING. */
export function caseOf(name) {
  const [operation = '', method = '', holding = ''] = name.split('-');
  const [what, held] = [operations[operation], holdings[holding]];
  if (!what || !held || !methods.includes(method))
    throw new Error(
      `No case "${name}": choose OPERATION-METHOD or OPERATION-METHOD-HOLDING from ${[operations, holdings].map((some) => Object.keys(some).join(' ')).join('; ')}; ${methods.join(' ')}`,
    );
  return { name, method, ...what, ...held };
}

/** Starts a cluster that holds so many keys of so many bytes. Resolves to the addresses of all nodes. */
export async function startLoaded(bed, { masters, spare = 0, before }, data, nodeTimeoutMs) {
  const config = { 'cluster-node-timeout': `${nodeTimeoutMs}`, save: '' };
  const nodes = await startMasters(bed, masters, spare, { config });
  await settled(nodes.slice(0, masters));
  await Promise.all(nodes.slice(0, masters).map((node) => fill(node, data)));
  const addresses = nodes.map(({ address }) => address);
  await before?.(addresses);
  return { nodes, addresses };
}

/** Writes keys of one slot: strings, or hashes of so many fields. */
const WRITE = `local tag, keys, fields, bytes, pool = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local from = 0
local function value()
  from = (from + 97) % (#pool - bytes)
  return string.sub(pool, from + 1, from + bytes)
end
for key = 1, keys do
  local name = 'k' .. key .. ':' .. tag
  if fields == 0 then redis.call('SET', name, value()) end
  for field = 1, fields do redis.call('HSET', name, 'f' .. field, value()) end
end`;

async function fill(node, { keys, fields = 0, bytes }) {
  const id = await idOfNode(node);
  const { slots } = (await recordsOf(node)).find((record) => record.id === id);
  const connection = await connectTo(node);
  let [commands, due] = [[], 0];
  try {
    for (const slot of expandSlots(slots)) {
      due += keys / SLOT_COUNT;
      const now = Math.floor(due);
      due -= now;
      const words = [
        'EVAL',
        WRITE,
        '1',
        `{${tagOfSlot(slot)}}`,
        now,
        fields,
        bytes,
        text(POOL_BYTES + bytes),
      ];
      commands.push(words.map(String));
      if (commands.length < SLOTS_AT_ONCE && slot !== slots.at(-1)[1]) continue;
      for (const reply of await connection.pipeline(commands)) if (reply instanceof Error) throw reply;
      commands = [];
    }
  } finally {
    connection.destroy();
  }
}
