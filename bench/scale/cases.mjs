import { runProgram } from '../migrate/child.mjs';
import { addressesOf, allServe, moveAway, moveTo, resetAll, startNodes, verifyAgreed } from './nodes.mjs';

/** Runs one of the two tools; returns its time and its output. */
function runTool(name, { cli, tool }, { ours, theirs }) {
  return name === 'ours' ? runProgram(process.execPath, [cli, ...ours]) : runProgram(tool, theirs);
}

const createArgs = (addresses) => ({
  ours: ['create', ...addresses, '--replicas', '1', '--yes'],
  theirs: ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes'],
});

const checkArgs = (first) => ({
  ours: ['check', first],
  theirs: ['--cluster', 'check', first],
});

/** How long until the tool exits, and until every node serves and knows all others. */
function create(count) {
  return {
    title: `create ${count} nodes with a replica for each master, cluster-node-timeout 15000`,
    prepare: async (context) => ({ context, nodes: await startNodes(context.bed, count) }),
    async run(name, { context, nodes }) {
      await resetAll(nodes);
      const began = performance.now();
      const { ms } = await runTool(name, context, createArgs(addressesOf(nodes)));
      await allServe(nodes);
      const served = performance.now() - began;
      const records = await verifyAgreed(nodes);
      const replicas = records.filter(({ role }) => role === 'replica').length;
      if (replicas !== count / 2) throw new Error(`There are ${replicas} of ${count / 2} replicas`);
      return { 'tool ends': ms, 'all serve': served };
    },
  };
}

async function created(context, nodes) {
  await runTool('ours', context, createArgs(addressesOf(nodes)));
  await allServe(nodes);
}

/** A check of a healthy cluster. */
function check(count) {
  return {
    title: `check ${count} nodes`,
    async prepare(context) {
      const nodes = await startNodes(context.bed, count);
      await created(context, nodes);
      return { context, first: nodes[0].node.address };
    },
    async run(name, { context, first }) {
      return { 'tool ends': await runCheck(name, context, first) };
    },
  };
}

async function runCheck(name, context, first) {
  const { ms, text } = await runTool(name, context, checkArgs(first));
  if (!text.includes('All 16384 slots covered')) throw new Error(`${name} printed:\n${text}`);
  return ms;
}

/** What is asked before maintenance. redis-cli only has the like of the check. */
function ask(count) {
  return {
    title: `ask ${count} nodes, masters with a replica each`,
    async prepare(context) {
      const nodes = await startNodes(context.bed, count);
      await created(context, nodes);
      return { context, first: nodes[0].node.address };
    },
    async run(name, { context, first }) {
      const figures = { check: await runCheck(name, context, first) };
      if (name !== 'ours') return figures;
      for (const words of [
        ['ok_to_stop', first, first],
        ['spread', first, '--dry-run'],
      ])
        figures[words[0]] = (await runTool(name, context, { ours: words })).ms;
      return figures;
    },
  };
}

/** Commands that read, from far away. The counterpart of `list` is `redis-cli CLUSTER NODES`. */
function far(count, delayMs) {
  return {
    title: `read from ${count} nodes, ${2 * delayMs} ms away`,
    async prepare(context) {
      const nodes = await startNodes(context.bed, count);
      await created(context, nodes);
      return { context, first: await moveAway(nodes, delayMs) };
    },
    async run(name, { context, first }) {
      const [host, port] = first.split(':');
      const info = { ours: ['info', first], theirs: ['--cluster', 'info', first] };
      const list = { ours: ['list', first], theirs: ['-h', host, '-p', port, 'CLUSTER', 'NODES'] };
      const started = { ours: ['--version'], theirs: ['--version'] };
      return {
        check: await runCheck(name, context, first),
        info: (await runTool(name, context, info)).ms,
        list: (await runTool(name, context, list)).ms,
        'start alone': (await runTool(name, context, started)).ms,
      };
    },
  };
}

/** A fifth of the masters has no slots and gets its share; the other tool undoes that with weights of 0. */
function rebalance(count) {
  const emptied = Math.ceil(count / 5);
  return {
    title: `rebalance ${count} masters, a fifth of which gets slots and gives them back alternately`,
    async prepare(context) {
      const config = /^redis-6/.test(context.bed.server.name)
        ? {}
        : { 'cluster-allow-replica-migration': 'no' };
      const nodes = await startNodes(context.bed, count, { config });
      const addresses = addressesOf(nodes);
      await runTool('ours', context, { ours: ['create', ...addresses, '--yes'] });
      await allServe(nodes);
      return { context, nodes };
    },
    async run(name, { context, nodes }) {
      const first = nodes[0].node.address;
      const ids = await Promise.all(
        nodes.slice(-emptied).map(({ connection }) => connection.command(['CLUSTER', 'MYID'])),
      );
      const figures = {};
      for (const verb of ['out', 'in']) {
        const weights = verb === 'out' ? ids.map((id) => `${id}=0`) : [];
        const isValkey = context.bed.server.kind === 'valkey';
        const { ms } = await runTool(name, context, {
          ours: [
            ...['rebalance', first, '--yes', '--use-empty-masters'],
            ...weights.flatMap((weight) => ['--weight', weight]),
          ],
          theirs: [
            ...['--cluster', 'rebalance', first, '--cluster-threshold', '1'],
            `--cluster-use-empty-${isValkey ? 'primaries' : 'masters'}`,
            ...(weights.length > 0 ? ['--cluster-weight', ...weights] : []),
          ],
        });
        await allServe(nodes);
        figures[verb === 'out' ? 'a fifth emptied' : 'and filled again'] = ms;
      }
      const records = await verifyAgreed(nodes);
      const counts = records.map(({ slots }) => slots.reduce((sum, [from, to]) => sum + to - from + 1, 0));
      console.log(`  ${name}: masters have ${Math.min(...counts)} to ${Math.max(...counts)} slots`);
      return figures;
    },
  };
}

/** Every member runs at a new address, so that none finds another. redis-cli has no counterpart. */
function rejoin(count) {
  return {
    title: `rejoin ${count} nodes, all of which have new addresses, cluster-node-timeout 15000`,
    async prepare(context) {
      const nodes = await startNodes(context.bed, count);
      const spare = await startNodes(context.bed, count);
      await created(context, nodes);
      return { context, nodes, spare };
    },
    async run(name, state) {
      if (name !== 'ours') return {};
      const { context, nodes: former, spare: nodes } = state;
      const before = await verifyAgreed(former);
      await moveTo(nodes, former);
      const began = performance.now();
      const { ms } = await runTool('ours', context, { ours: ['rejoin', ...addressesOf(nodes), '--yes'] });
      await allServe(nodes);
      const served = performance.now() - began;
      verifySlots(before, await verifyAgreed(nodes));
      Object.assign(state, { nodes, spare: former });
      return { 'tool ends': ms, 'all serve': served };
    },
  };
}

/** Shards have the slots that they had. A failover may have changed their master, where nodes are slower than their node timeout. */
function verifySlots(before, after) {
  const ranges = (records) => JSON.stringify(records.map(({ slots }) => slots).sort());
  if (ranges(before) !== ranges(after)) throw new Error('Slots have other owners than before');
  const former = new Map(before.map(({ id, slots }) => [id, slots.length]));
  const failovers = after.filter(({ id, slots }) => slots.length > 0 && former.get(id) === 0).length;
  if (failovers > 0) console.log(`  ${failovers} failovers in the meantime`);
}

const kinds = {
  create,
  check,
  ask,
  far,
  rebalance,
  rejoin,
};

/** The case with a name such as `create-30`; `delayMs` is the delay of far nodes, one way. */
export function caseOf(name, delayMs) {
  const [kind, count] = name.split('-');
  const make = kinds[kind];
  if (!make || !(Number(count) > 0)) {
    throw new Error(`Not a case: "${name}" (expected ${Object.keys(kinds).join('-N, ')}-N)`);
  }
  return make(Number(count), delayMs);
}
