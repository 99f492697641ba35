// Moves slots under load while things break: `npm run test:faults [-- --rounds N] [--seed N] [--servers A,B]
// [--method migrate|atomic|both] [--fault NAME]`. Not one acknowledged write may be lost except those that Redis's own
// asynchronous replication loses in a failover, and the same command must succeed afterwards.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { isServerName, type ServerName, serverNames } from './bed/servers.ts';
import { faults } from './faults/faults.ts';
import { describeRun, type Round, runRound } from './faults/round.ts';
import { type Method, takesMethod } from './faults/tool.ts';
import { emptied, healed, isWhole, startWorld, type World } from './faults/world.ts';
import { chooseSeed } from './helpers/seed.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string' },
    servers: { type: 'string', default: 'redis-8.6,valkey-9.1' },
    method: { type: 'string', default: 'migrate' },
    fault: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});

const servers = values.servers.split(',').map(readServer);
const rounds = readNumber('rounds', values.rounds);
const seed = chooseSeed(values.seed);
const fault = faults.find(({ name }) => name === values.fault);
if (values.fault !== undefined && !fault) {
  refuse(`No fault "${values.fault}": choose from ${faults.map(({ name }) => name).join(', ')}`);
}
if (!['migrate', 'atomic', 'both'].includes(values.method)) refuse(`No method "${values.method}"`);
if (values.method !== 'migrate' && !takesMethod()) refuse(`redis-trib has no --method yet`);

function refuse(message: string): never {
  console.error(message);
  process.exit(2);
}

function readServer(name: string): ServerName {
  return isServerName(name) ? name : refuse(`No server "${name}": choose from ${serverNames.join(', ')}`);
}

function readNumber(name: string, text: string): number {
  return /^\d+$/.test(text) ? Number(text) : refuse(`Not a number for --${name}: "${text}"`);
}

function methodsOn({ kind, major, minor }: World['bed']['server']): readonly Method[] {
  const canAtomic = kind === 'valkey' ? major >= 9 : major > 8 || (major === 8 && minor >= 4);
  if (values.method === 'migrate') return ['migrate'];
  if (values.method === 'atomic')
    return canAtomic ? ['atomic'] : refuse('This server cannot move slots itself');
  return canAtomic ? ['migrate', 'atomic'] : ['migrate'];
}

interface Recorded extends Round {
  readonly server: string;
  readonly seed: number;
}

/** All rounds on one server. The first round of a seed depends on nothing but the seed. */
async function runOn(server: ServerName): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  let world = await startWorld(server);
  try {
    const methods = methodsOn(world.bed.server);
    for (let index = 0; index < rounds; index++) {
      const method = methods[index % methods.length] ?? 'migrate';
      const round = await runRound(world, {
        seed: seed + index,
        method,
        methodArgs: takesMethod() ? ['--method', method] : [],
        ...(fault ? { fault } : {}),
      }).catch((error: unknown): Round => failed(error));
      recorded.push({ ...round, server, seed: seed + index });
      report(server, seed + index, method, round);
      if (index + 1 < rounds) world = await renewed(world, server, round);
    }
  } finally {
    await world.bed.close();
  }
  return recorded;
}

// What a round could not repair, or a failover changed for good, must not affect the next one.
async function renewed(world: World, server: ServerName, { problems }: Round): Promise<World> {
  try {
    if (problems.length === 0 && isWhole(await healed(world), world)) {
      await emptied(world);
      return world;
    }
  } catch {
    // Then from the start
  }
  await world.bed.close();
  return startWorld(server);
}

function failed(error: unknown): Round {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const nothing = {
    keys: 0,
    acked: 0,
    leaked: [],
    inDoubt: 0,
    unsettled: [],
    longestMs: 0,
    elapsedMs: 0,
    runs: [],
  };
  return { fault: values.fault ?? 'unknown', what: 'failed', problems: [what], ...nothing };
}

function report(server: string, roundSeed: number, method: Method, round: Round): void {
  const { what, keys, acked, leaked, inDoubt, unsettled, longestMs, elapsedMs, runs, problems } = round;
  const lost = leaked.length > 0 ? `, ${leaked.length} lost by failover` : '';
  const back = unsettled.length > 0 ? `, ${unsettled.length} back after the tool ended early` : '';
  const doubtful = inDoubt > 0 ? `, ${inDoubt} named in doubt` : '';
  console.log(
    `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${server} seed ${roundSeed}: ${what}: ${keys} keys, ${acked} writes${lost}${back}${doubtful}, ` +
      `${runs.length} runs, stall ${Math.round(longestMs)} ms, ${(elapsedMs / 1000).toFixed(1)} s`,
  );
  if (values.verbose || problems.length > 0) {
    for (const run of runs) console.log(`     ${describeRun(run)}`);
    for (const key of leaked.slice(0, 5)) console.log(`     lost by failover: ${key}`);
    for (const key of unsettled.slice(0, 5)) console.log(`     back after the tool ended early: ${key}`);
  }
  if (problems.length === 0) return;
  for (const problem of problems.slice(0, 12)) console.log(`     ${problem}`);
  if (problems.length > 12) console.log(`     and ${problems.length - 12} more`);
  const chosen = `${fault ? ` --fault ${fault.name}` : ''}${method === 'migrate' ? '' : ` --method ${method}`}`;
  console.log(
    `     again: npm run test:faults -- --servers ${server} --seed ${roundSeed} --rounds 1${chosen}`,
  );
}

function summarise(all: readonly Recorded[]): void {
  const rows = [
    [
      'fault',
      'rounds',
      'failed',
      'keys compared',
      'writes',
      'lost by failover',
      'in doubt',
      'unsettled',
      'longest stall',
    ],
  ];
  const row = (name: string, some: readonly Recorded[]): string[] => {
    const sum = (of: (round: Recorded) => number): string =>
      `${some.reduce((total, round) => total + of(round), 0)}`;
    const longest = Math.round(Math.max(0, ...some.map(({ longestMs }) => longestMs)));
    const failures = sum(({ problems }) => (problems.length > 0 ? 1 : 0));
    return [
      name,
      `${some.length}`,
      failures,
      sum(({ keys }) => keys),
      sum(({ acked }) => acked),
      sum(({ leaked }) => leaked.length),
      sum(({ inDoubt }) => inDoubt),
      sum(({ unsettled }) => unsettled.length),
      `${longest} ms`,
    ];
  };
  for (const { name } of faults) {
    const some = all.filter((round) => round.fault === name);
    if (some.length > 0) rows.push(row(name, some));
  }
  rows.push(row('all', all));
  const widths =
    rows[0]?.map((_, column) => Math.max(...rows.map((each) => each[column]?.length ?? 0))) ?? [];
  for (const each of rows) {
    console.log(
      each
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  '),
    );
  }
}

// The client sends ASKING on its own without handling its reply
process.on('unhandledRejection', (error) => {
  if (
    !(error instanceof Error) ||
    !/^(Connection is closed|Command timed out|LOADING|NOPERM)/.test(error.message)
  )
    throw error;
});
/** Runs all rounds on one server in a process of its own, because one would be too busy with the relays of two. */
async function runApart(server: ServerName): Promise<Recorded[]> {
  const flags = process.argv.slice(2);
  // The last of repeated flags counts
  const child = fork(process.argv[1] ?? '', [...flags, '--servers', server, '--seed', `${seed}`], {
    serialization: 'advanced',
  });
  let recorded: Recorded[] | undefined;
  child.on('message', (message) => {
    recorded = message as Recorded[];
  });
  const [code] = await once(child, 'close');
  if (!recorded) throw new Error(`The rounds on ${server} ended with ${code} without a result`);
  return recorded;
}

const isApart = process.send !== undefined;
if (!isApart) console.log(`seed ${seed}: ${rounds} rounds on ${servers.join(' and ')}`);
const started = performance.now();
const all = (await Promise.all(servers.map(servers.length > 1 ? runApart : runOn))).flat();
if (isApart) await new Promise((resolve) => process.send?.(all, resolve));
if (isApart) process.exit(0);
console.log();
summarise(all);
const bad = all.filter(({ problems }) => problems.length > 0);
console.log(
  `${all.length} rounds in ${Math.round((performance.now() - started) / 1000)} s, ${bad.length} failed`,
);
// Clients may still be ending
process.exit(bad.length > 0 ? 1 : 0);
