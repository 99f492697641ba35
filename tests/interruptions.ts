// Interrupts every command that changes a cluster at every command that it sends, runs it again, and checks that everything is
// as it must be: `npm run test:interruptions [-- --server NAME] [--case NAME] [--event NAME] [--at N] [--half] [--every]
// [--sample N] [--seed N] [--stages N]`.
import process from 'node:process';
import { parseArgs } from 'node:util';
import { isServerName, serverNames } from './bed/servers.ts';
import { randomFrom } from './faults/random.ts';
import { chooseSeed } from './helpers/seed.ts';
import { cases as allCases } from './interruptions/cases.ts';
import { events as allEvents } from './interruptions/events.ts';
import { drawCommand } from './interruptions/replies.ts';
import { type Recorded, report, summarise } from './interruptions/report.ts';
import { openStage, type Stage } from './interruptions/stage.ts';
import { tryOnce } from './interruptions/trial.ts';

const { values } = parseArgs({
  options: {
    server: { type: 'string', default: process.env.REDIS_TRIB_TEST_SERVER ?? 'redis-8.0' },
    case: { type: 'string' },
    event: { type: 'string', default: 'kill' },
    at: { type: 'string' },
    half: { type: 'boolean', default: false },
    every: { type: 'boolean', default: false },
    sample: { type: 'string' },
    seed: { type: 'string' },
    stages: { type: 'string', default: '4' },
    verbose: { type: 'boolean', default: false },
  },
});

function refuse(message: string): never {
  console.error(message);
  process.exit(2);
}

function chosen<Item extends { readonly name: string }>(
  what: string,
  all: readonly Item[],
  named: string | undefined,
): readonly Item[] {
  if (named === undefined || named === 'all') return all;
  const isMeant = (name: string) => (item: Item) => item.name === name || item.name.startsWith(`${name} `);
  const found = named.split(',').flatMap((name) => {
    const exact = all.filter((item) => item.name === name);
    return exact.length > 0 ? exact : all.filter(isMeant(name));
  });
  return found.length > 0
    ? found
    : refuse(`No ${what} "${named}": choose from ${all.map(({ name }) => name).join('; ')}`);
}

const { server } = values;
if (!isServerName(server)) refuse(`No server "${server}": choose from ${serverNames.join(', ')}`);
const cases = chosen('case', allCases, values.case);
const events = chosen('event', allEvents, values.event);
// Relays slow down all traffic.
const withRelays = events.some(({ isOfNetwork }) => isOfNetwork);
const seed = chooseSeed(values.seed);
const sample = values.sample === undefined ? undefined : Number(values.sample);
/** How many of the many commands of a run are refused unless a sample is asked for. */
const COMMANDS_REFUSED = 10;
const from = values.every ? 'start' : 'changes';

/** The points of one command and one event, up to the end of the command. */
interface Row {
  readonly one: (typeof cases)[number];
  readonly event: (typeof events)[number];
  readonly points: Iterator<readonly [at: number, half: boolean]>;
  /** The command ends before this write. */
  end: number;
  /** Points that are being tried. */
  running: number;
  isTold: boolean;
}

function* pointsOf(
  writes: number,
  seedOfRow: number,
  isOfCommands: boolean,
): Generator<readonly [number, boolean]> {
  if (values.at !== undefined) return yield [Number(values.at), values.half];
  const random = randomFrom(seedOfRow);
  if (isOfCommands) {
    for (let count = 0; count < (sample ?? COMMANDS_REFUSED); count++)
      yield [drawCommand(random, writes), false];
  } else if (sample === undefined)
    for (let at = 1; ; at++)
      yield* [
        [at, true],
        [at, false],
      ] as const;
  // Most failures happen at the first writes and at the last.
  else for (let count = 0; count < sample; count++) yield [random.between(1, writes), random.chance(0.5)];
}

const rows: Row[] = cases.flatMap((one, number) =>
  events.map((event, index) => ({
    one,
    event,
    points: pointsOf(one.writes, seed + 1000 * number + index, event.refusing !== undefined),
    end: Number.POSITIVE_INFINITY,
    running: 0,
    isTold: false,
  })),
);
const recorded: Recorded[] = [];

// All of them may take half an hour.
function tellEnd(row: Row): void {
  if (row.running > 0 || row.isTold) return;
  row.isTold = true;
  const { one, event } = row;
  const count = recorded.filter(
    ({ name, event: struck }) => name === one.name && struck === event.name,
  ).length;
  console.log(`done: ${one.name}, ${event.name}, ${count} interruptions`);
}

async function work(stage: Stage): Promise<void> {
  for (const row of rows) {
    row.running += 1;
    for (let next = row.points.next(); !next.done; next = row.points.next()) {
      const [at, half] = next.value;
      if (at >= row.end) break;
      const options = { event: row.event, at, half, from, seed: seed + at } as const;
      const trial = await tryOnce(stage, row.one, options).catch((error: unknown) => ({
        ...{ struck: true, end: 'broken', again: 0, longestMs: 0, runs: [] },
        problems: [`The trial itself broke: ${error instanceof Error ? error.stack : String(error)}`],
      }));
      if (!trial.struck && !row.event.refusing && sample === undefined && values.at === undefined)
        row.end = Math.min(row.end, at);
      const one: Recorded = { ...trial, name: row.one.name, event: row.event.name, at, half };
      recorded.push(one);
      report(one, { server, seed, every: values.every, verbose: values.verbose });
    }
    row.running -= 1;
    tellEnd(row);
  }
}

console.log(`seed ${seed}: ${rows.length} rows on ${server}`);
const started = performance.now();
const stages = await Promise.all(
  Array.from({ length: Number(values.stages) }, () => openStage(server, withRelays)),
);
try {
  await Promise.all(stages.map(work));
} finally {
  await Promise.all(stages.map(({ bed }) => bed.close()));
}
console.log();
summarise(recorded);
const bad = recorded.filter(({ problems }) => problems.length > 0);
const seconds = Math.round((performance.now() - started) / 1000);
console.log(`${recorded.length} interruptions on ${server} in ${seconds} s, ${bad.length} with problems`);
process.exit(bad.length > 0 ? 1 : 0);
