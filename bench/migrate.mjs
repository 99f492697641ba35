/**
 * Compares moving slots with redis-trib, with redis-cli or valkey-cli, and with the floor:
 *
 *     npm run bench:migrate -- [CASE...] [--rounds 5] [--server redis-8.6] [--scale 1] [--only TEXT...] [--profile]
 *
 * Every candidate moves the same data between the same servers in turn, back and forth, each move in a process of its own, and every
 * move is verified. `--scale` multiplies the data or the number of slots, `--only` skips candidates without that text in their
 * names, `--profile` shows where the time goes on the servers and in our process. The figures depend on the machine; the ratios
 * within a round are what counts.
 */
import { parseArgs } from 'node:util';
import { openBed } from '../tests/bed/index.ts';
import { build } from './migrate/build.mjs';
import { cases, casesOf } from './migrate/cases.mjs';
import { runProgram } from './migrate/child.mjs';
import { toolOf } from './migrate/cluster.mjs';
import { caseReport } from './migrate/report.mjs';
import { runCase } from './migrate/run-case.mjs';
import { median } from './report.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    server: { type: 'string' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true, default: [''] },
    profile: { type: 'boolean', default: false },
    node: { type: 'string', default: process.execPath },
  },
});
const names = casesOf(positionals);
const built = build();

/** How long a program takes to start and exit. */
async function startTime(program, args) {
  const times = [];
  for (let time = 0; time < 5; time++) times.push((await runProgram(program, args)).ms);
  return median(times);
}

/** The case for these servers, with the names that its candidates have there. */
function settle({ candidates, goals, ...rest }, server) {
  const named = (candidate) =>
    typeof candidate.name === 'function' ? { ...candidate, name: candidate.name(server.kind) } : candidate;
  const of = (list) => (typeof list === 'function' ? list(server) : list);
  const isWanted = ({ name }) => options.only.some((text) => name.includes(text));
  return {
    ...rest,
    candidates: of(candidates).map(named).filter(isWanted),
    goals: of(goals)
      .map((goal) => ({
        ...goal,
        candidate: named(goal.candidate),
        ...(goal.than && { than: named(goal.than) }),
      }))
      .filter(({ candidate, than = candidate }) => isWanted(candidate) && isWanted(than)),
  };
}

async function runOn(serverName, wanted) {
  const bed = await openBed({ server: serverName });
  try {
    const { kind, version } = bed.server;
    const tool = toolOf(bed);
    const starts = {
      node: await startTime(options.node, [built.cli, '--version']),
      tool: await startTime(tool, ['--version']),
    };
    const node = (await runProgram(options.node, ['--version'])).text.trim();
    console.log(`# ${kind} ${version}, Node ${node}; ${options.rounds} rounds\n`);
    console.log(
      `Milliseconds, medians. A process that does nothing takes ${starts.node.toFixed(0)} (redis-trib) and ` +
        `${starts.tool.toFixed(0)} (${kind}-cli), which is in the times and not in the latencies.\n`,
    );
    const context = {
      ...{ bed, kind, tool, starts, build: built, node: options.node },
      ...{ rounds: Number(options.rounds), scale: Number(options.scale), profile: options.profile },
    };
    for (const name of wanted) {
      const definition = settle(cases[name], bed.server);
      const outcome = await runCase(name, definition, context);
      console.log(caseReport(`${name}: ${definition.title}`, { ...outcome, goals: definition.goals }));
    }
  } finally {
    await bed.close();
  }
}

const serversOf = (name) => (options.server ? [options.server] : (cases[name].servers ?? ['redis-8.6']));
for (const server of new Set(names.flatMap(serversOf))) {
  await runOn(
    server,
    names.filter((name) => serversOf(name).includes(server)),
  );
}
