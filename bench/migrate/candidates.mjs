import { fileURLToPath } from 'node:url';
import { runProgram } from './child.mjs';
import { moveAtFloor } from './floor.mjs';

/**
 * The programs that move slots. Each has a name and a function that does a job and resolves to the time span it took. A job says what
 * to move: its `verb` is `move` (slots, from one master to another), `grow` (from all to a master without slots) or `shrink` (away
 * from that master, to all others).
 */

const operate = fileURLToPath(new URL('./operate.mjs', import.meta.url));

/** Our command line, including its process, with the flags for these options of the library. */
export const ours = (options) => ({
  name: ['redis-trib', ...flagsOf(options)].join(' '),
  starts: 'node',
  async run(job) {
    const { context, verb, from, to, slots, onTick } = job;
    const args = {
      move: ['migrate_slots', from.address, to.address, `${slots[0]}-${slots.at(-1)}`],
      grow: ['join', from.address, to.address],
      shrink: ['quit', from.address],
    }[verb];
    return runProgram(context.node, [context.build.cli, ...args, ...flagsOf(options)], { onTick });
  },
});

function flagsOf({ method, maxStall }) {
  return [
    ...(method === undefined ? [] : ['--method', method]),
    ...(maxStall === undefined ? [] : ['--max-stall', String(maxStall)]),
  ];
}

/** The same from code: the time of the call alone. `nodeArgs` are arguments for Node. */
export const library = (options, nodeArgs = []) => ({
  options,
  name: ['library', ...flagsOf(options)].join(' ').replaceAll('--', ''),
  async run(job) {
    const { text } = await runOperation(job, options, nodeArgs);
    const span = JSON.parse(text);
    const other = span.methods.find((method) => method !== options.method);
    if (other !== undefined) throw new Error(`Slots moved with the method "${other}", not ${options.method}`);
    return { ...span, ms: span.to - span.from };
  },
});

function runOperation({ context, verb, from, to, slots, onTick }, options, nodeArgs = []) {
  const call = {
    move: { verb: 'migrateSlots', args: [from.address, to.address, [[slots[0], slots.at(-1)]]] },
    grow: { verb: 'joinCluster', args: [from.address, to.address] },
    shrink: { verb: 'quitCluster', args: [from.address] },
  }[verb];
  const task = JSON.stringify({ library: context.build.library, ...call, options });
  return runProgram(context.node, [...nodeArgs, operate, task], { onTick });
}

/** The command-line tool that comes with the servers, including its process. */
export const theirs = (...flags) => ({
  name: (kind) => [`${kind}-cli`, ...flags.map((flag) => flag.replace('--cluster-', '--…'))].join(' '),
  starts: 'tool',
  run({ context, verb, from, to, slots, ids }) {
    const empty = `--cluster-use-empty-${context.kind === 'valkey' ? 'primaries' : 'masters'}`;
    const ends = ['--cluster-from', ids.from, '--cluster-to', ids.to];
    const args = {
      move: ['reshard', from.address, ...ends, '--cluster-slots', String(slots.length)],
      grow: ['rebalance', from.address, empty],
      shrink: ['rebalance', to.address, '--cluster-weight', `${ids.from}=0`],
    }[verb];
    return runProgram(context.tool, ['--cluster', ...args, '--cluster-yes', ...flags]);
  },
});

export const floor = { name: 'floor', run: moveAtFloor };
