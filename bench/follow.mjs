/**
 * A cluster that follows another one while that is written, and goes over:
 *
 *     npm run bench:follow -- [--server redis-8.6] [--other valkey-9.1] [--rate 4000] [--keys 100000] [--bytes 100] [--seconds 15]
 *         [--faults]
 *
 * Three masters with a replica each are followed by three masters. Once these are less than a second behind, what is behind is noted for
 * so many seconds. With --faults, meanwhile the streams of a master are cut, a master fails over, slots move between two others, and the tool is
 * killed and started again. Then it is interrupted, and `--cutover` ends it, which compares all keys first. While writes are paused, `compare` looks for
 * differences, and the client for values that were acknowledged.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { failover, migrateSlots } from '../lib/index.ts';
import { ask } from '../tests/bed/client.ts';
import { openBed } from '../tests/bed/index.ts';
import { startMasters, startPairs } from '../tests/helpers/clusters.ts';
import { startTool, untilCloserThan } from './follow/tool.mjs';
import { build } from './migrate/build.mjs';
import { runProgram } from './migrate/child.mjs';

const { values: options } = parseArgs({
  options: {
    server: { type: 'string', default: 'redis-8.6' },
    other: { type: 'string', default: '' },
    rate: { type: 'string', default: '4000' },
    keys: { type: 'string', default: '100000' },
    bytes: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '15' },
    faults: { type: 'boolean', default: false },
  },
});
const [rate, keys, bytes, seconds] = [options.rate, options.keys, options.bytes, options.seconds].map(Number);
const other = options.other || options.server;
const CLOSE_MS = 1000;
/** Long enough for `compare`. */
const PAUSE_MS = 120_000;

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

const { cli } = build();
const source = await openBed({ server: options.server });
const target = await openBed({ server: other });
let [load, tool] = [];
try {
  const config = { 'cluster-node-timeout': '5000', 'repl-diskless-sync-delay': '0' };
  const [from, to] = [await startPairs(source, { config }), await startMasters(target, 3)];
  const [first, second] = [from[0].address, to[0].address];
  const path = fileURLToPath(new URL('./follow/load.mjs', import.meta.url));
  load = fork(path, [from.map(({ port }) => port).join(), rate, keys, bytes].map(String), {
    execArgv: ['--import', 'tsx'],
  });
  const asking = async (message) => {
    load.send(message);
    return (await once(load, 'message'))[0];
  };
  await once(load, 'message');
  await sleep(Math.min(20_000, (1000 * keys) / rate));

  const words = ['import', second, '--from-cluster', first];
  const run = [];
  const follow = async (...more) => {
    tool = startTool(cli, [...words, '--follow', ...more]);
    run.push(tool);
    return untilCloserThan(tool, CLOSE_MS);
  };
  const faults = [];
  const noting = async (what, work) => {
    await work();
    await sleep(1000);
    const ms = await untilCloserThan(tool, CLOSE_MS);
    faults.push(`${what}: less than ${CLOSE_MS} ms behind again after ${((1000 + ms) / 1000).toFixed(1)} s`);
  };
  const caughtUpMs = await follow();
  const before = await asking('count');
  const noted = performance.now();
  await sleep(1000 * seconds);
  const after = await asking('count');
  const steady = tool.events.filter(({ type, at }) => type === 'follow-progress' && at >= noted);
  if (options.faults) {
    await noting('streams of a master cut', () => ask(from[0], 'CLIENT', 'KILL', 'TYPE', 'replica'));
    await noting('a master failed over', () => failover(first, from[3].address));
    await noting('500 slots moved', () => migrateSlots(from[1].address, from[2].address, [[6000, 6499]]));
    tool.child.kill('SIGKILL');
    await tool.ended;
    await sleep(2000);
    const ms = await follow('--replace');
    faults.push(
      `the tool killed, and started after 2 s: less than ${CLOSE_MS} ms behind ${(ms / 1000).toFixed(1)} s later`,
    );
  }
  tool.child.kill('SIGINT');
  const { code: interrupted } = await tool.ended;
  tool = startTool(cli, [...words, '--cutover', '--replace', '--cutover-timeout', String(PAUSE_MS)]);
  run.push(tool);
  const { code } = await tool.ended;
  if (code !== 0) throw new Error(`--cutover exited with ${code}: ${tool.errors}`);
  const { cutover } = tool.last;
  const stopped = await asking('stop');
  const compared = await runProgram(process.execPath, [cli, 'compare', first, second]).then(
    () => 'equal',
    (error) => error.message,
  );
  const { looked, lost } = await asking(to.map(({ port }) => String(port)));

  const figure = (name, at) =>
    percentile(
      steady.map((event) => event[name]),
      at,
    );
  const perSecond = (name) =>
    Math.round((1000 * (steady.at(-1)[name] - steady[0][name])) / (steady.at(-1).at - steady[0].at));
  const written = Math.round((1000 * (after.writes - before.writes)) / (after.ms - before.ms));
  const rows = {
    [`${options.server} to ${other}, Node ${process.versions.node}`]: '',
    'writes/s, acknowledged': `${written} of ${rate}, of ${keys} keys`,
    'changed keys copied/s': perSecond('copied') + perSecond('deleted'),
    'copied, and less than a second behind, after': `${(caughtUpMs / 1000).toFixed(1)} s`,
    'behind, keys: median, most': `${figure('behindKeys', 0.5)}, ${figure('behindKeys', 1)}`,
    'behind, s: median, most': `${(figure('behindMs', 0.5) / 1000).toFixed(2)}, ${(figure('behindMs', 1) / 1000).toFixed(2)}`,
    ...Object.fromEntries(faults.map((fault) => fault.split(': '))),
    'pause until all was copied and compared': `${(cutover.pausedMs / 1000).toFixed(2)} s, ${cutover.compared} keys compared`,
    'resident memory at its peak': `${Math.round(Math.max(...run.flatMap(({ memory }) => memory)))} MB`,
    'acknowledged values lost': `${lost} of ${looked}`,
    'writes that failed at the client': stopped.failures,
    compare: compared,
    'exit codes of --follow and --cutover': `${interrupted}, ${code}`,
  };
  console.log('| | |\n|---|---|');
  for (const [name, value] of Object.entries(rows)) console.log(`| ${name} | ${value} |`);
} finally {
  load?.kill();
  tool?.child.kill('SIGKILL');
  await Promise.all([source.close(), target.close()]);
}
