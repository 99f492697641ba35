/**
 * How right the time left is that operations tell:
 *
 *     npm run bench:time-left -- [CASE...] [--server redis-8.0] [--keys 1000000] [--bytes 100] [--limit 40000] [--node-timeout 15000] [--events]
 *
 * A case is OPERATION-METHOD or OPERATION-METHOD-HOLDING, such as join-migrate or quit-atomic-big; see time-left/cases.mjs. Each runs through
 * the library on a cluster of its own. With atomic migration a million keys are over in a second: give it ten. `--events` prints every event.
 *
 * An event counts once a tenth of the time of the whole operation has passed, if it tells the time left of all moves. That is compared with
 * the time until the call returns, and wrong if it is off by more than a third of that and by more than half a second: a progress line
 * shows whole seconds. For each case: how many of these events are wrong, too long and too short, and how many are off by a third, by
 * however little; how many of all tell it; the phases; and the estimate of a dry run, to be compared with the time of the whole.
 * Other work on the machine makes every time left wrong: the last line says how much there was.
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { openBed } from '../tests/bed/index.ts';
import { caseOf, startLoaded } from './time-left/cases.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    server: { type: 'string', default: 'redis-8.0' },
    keys: { type: 'string', default: '1000000' },
    bytes: { type: 'string', default: '100' },
    limit: { type: 'string', default: '40000' },
    'node-timeout': { type: 'string', default: '15000' },
    events: { type: 'boolean', default: false },
  },
});
const CASES = ['join', 'two', 'rebalance', 'reshard', 'quit'].flatMap((each) => [
  `${each}-migrate`,
  `${each}-atomic`,
]);
const [FIRST_PART, WITHIN, FLOOR_MS] = [0.1, 1 / 3, 500];

/** Runs an operation. Resolves to its events, each with its time in milliseconds since the call, and to the time of the whole. */
async function record(run) {
  const started = performance.now();
  const events = [];
  await run((event) => events.push({ ...event, atMs: performance.now() - started }));
  return { events, wholeMs: performance.now() - started };
}

function judge({ events, wholeMs }) {
  const totals = events.filter(({ type, atMs }) => type === 'move-total' && atMs >= FIRST_PART * wholeMs);
  const told = totals
    .filter(({ etaMs }) => etaMs !== null)
    .map((event) => ({ ...event, truthMs: wholeMs - event.atMs }));
  const off = told.filter(({ etaMs, truthMs }) => Math.abs(etaMs - truthMs) > WITHIN * truthMs);
  const wrong = off.filter(({ etaMs, truthMs }) => Math.abs(etaMs - truthMs) > FLOOR_MS);
  return { totals, told, off, wrong };
}

const seconds = (ms) => (ms / 1000).toFixed(2);

/** How long each phase took, from one of these events to the next. */
function phasesOf({ events, wholeMs }) {
  const at = (type, last = false) =>
    (last ? events.findLast((event) => event.type === type) : events.find((event) => event.type === type))
      ?.atMs;
  const marks = [
    ['look', at('plan')],
    ['introduce', at('node-meet') === undefined ? undefined : at('move-start')],
    ['begin', at('move-start')],
    ['move', at('move-done', true)],
    ['rest', wholeMs],
  ].filter(([, ms]) => ms !== undefined);
  return marks.map(([name, ms], index) => `${name} ${seconds(ms - (marks[index - 1]?.[1] ?? 0))}`).join(', ');
}

function tell(name, recorded, estimatedMs) {
  const { totals, told, off, wrong } = judge(recorded);
  const long = wrong.filter(({ etaMs, truthMs }) => etaMs > truthMs).length;
  console.log(
    `  ${name.padEnd(22)} ${`${wrong.length} of ${told.length}`.padStart(10)} wrong (${long} long, ${wrong.length - long} short; ${off.length} by any amount), ${told.length} of ${totals.length} tell it; ` +
      `${seconds(recorded.wholeMs)} s: ${phasesOf(recorded)}; dry run: ${seconds(estimatedMs)} s`,
  );
  if (!options.events) return;
  for (const event of totals) {
    const { atMs, etaMs, slotsDone, keysDone, type } = event;
    const mark = wrong.some((one) => one.atMs === atMs) ? '!' : ' ';
    const left = etaMs === null ? '…' : seconds(etaMs);
    console.log(
      `   ${mark} ${seconds(atMs).padStart(6)} s  told ${left.padStart(6)}  truth ${seconds(recorded.wholeMs - atMs).padStart(6)}  ${slotsDone} slots ${keysDone} keys ${type}`,
    );
  }
}

for (const name of positionals.length > 0 ? positionals : CASES) {
  const chosen = caseOf(name);
  const bed = await openBed({ server: options.server });
  try {
    const { keys = 1, bytes = 1, fields, method, limited, run } = chosen;
    const data = { fields, keys: Math.round(keys * options.keys), bytes: Math.round(bytes * options.bytes) };
    const { addresses } = await startLoaded(bed, chosen, data, Number(options['node-timeout']));
    const how = { method, ...(limited ? { limits: { keysPerSecond: Number(options.limit) } } : {}) };
    const { estimatedMs } = await run(addresses, { ...how, dryRun: true });
    const recorded = await record((onEvent) => run(addresses, { ...how, onEvent }));
    tell(name, recorded, estimatedMs);
  } catch (error) {
    if (error.code !== 'METHOD_UNSUPPORTED') throw error;
    console.log(`  ${name.padEnd(22)} not with ${options.server}`);
  } finally {
    await bed.close();
  }
}
console.log(`${options.server}, load of the machine ${loadavg()[0].toFixed(1)}`);
