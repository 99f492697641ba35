/**
 * Compares redis-trib with redis-cli or valkey-cli on clusters of many nodes:
 *
 *     npm run bench:scale -- [CASE...] [--rounds 3] [--server redis-8.6] [--only ours|theirs] [--away 20]
 *
 * Cases: create-6, create-30, create-100, create-200; check-100; ask-200 (check, ok_to_stop, spread --dry-run); far-30 (check, info and list at a round trip of --away ms);
 * rebalance-100; rejoin-50. Any number of nodes works.
 * Both tools use the same nodes in turn, in alternating order.
 *
 * Nodes save their configuration with an fsync whenever they learn something. In production, hundreds of nodes do not share one
 * disk, so their files are in memory here if possible, unless TMPDIR is set.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openBed } from '../tests/bed/index.ts';
import { build } from './migrate/build.mjs';
import { toolOf } from './migrate/cluster.mjs';
import { median } from './report.mjs';
import { caseOf } from './scale/cases.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    server: { type: 'string', default: 'redis-8.6' },
    only: { type: 'string', default: '' },
    away: { type: 'string', default: '20' },
  },
});
const MEMORY = '/dev/shm';
if (!process.env.TMPDIR && existsSync(MEMORY)) process.env.TMPDIR = MEMORY;

const cases = (positionals.length > 0 ? positionals : ['create-6', 'create-30', 'check-30']).map((name) =>
  caseOf(name, Number(options.away) / 2),
);
const built = build();

/** Rounds of a case: seconds by candidate and figure. Each candidate goes first in every other round. */
async function runRounds({ run }, candidates, state) {
  const times = {};
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const name of round % 2 === 0 ? candidates : candidates.toReversed()) {
      for (const [figure, ms] of Object.entries(await run(name, state))) {
        times[`${name}: ${figure}`] ??= [];
        times[`${name}: ${figure}`].push(ms / 1000);
      }
    }
  }
  return times;
}

function report(times) {
  for (const [figure, all] of Object.entries(times)) {
    const shown = all.map((seconds) => seconds.toFixed(2)).join(' ');
    console.log(`  ${figure.padEnd(34)} ${median(all).toFixed(2)} s   (${shown})`);
  }
}

for (const one of cases) {
  const bed = await openBed({ server: options.server });
  try {
    const { kind, version } = bed.server;
    console.log(`${one.title}, ${kind} ${version}, Node ${process.versions.node}`);
    const candidates = ['ours', 'theirs'].filter((name) => name.includes(options.only));
    const state = await one.prepare({ bed, cli: built.cli, tool: toolOf(bed) });
    report(await runRounds(one, candidates, state));
  } finally {
    await bed.close();
  }
}
