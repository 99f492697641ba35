import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MOST = 15;

/**
 * Prints where the time of a move went: what the servers spent on each command and, if `run` starts Node, what a profiler saw. `run`
 * gets arguments for Node, and a function to call right before the move and right after.
 */
export async function profile(title, run) {
  const dir = mkdtempSync(join(tmpdir(), 'redis-trib-profile-'));
  const commands = new Map();
  let isAfter = false;
  try {
    const { ms } = await run(['--cpu-prof', '--cpu-prof-dir', dir], async ({ cluster, from, to }) => {
      for (const [side, node] of Object.entries({ source: from, target: to })) {
        if (isAfter) {
          const [text] = await cluster.tell(node, [['INFO', 'commandstats']]);
          readCommands(String(text), side, commands);
        } else await cluster.tell(node, [['CONFIG', 'RESETSTAT']]);
      }
      isAfter = true;
    });
    console.log(`### Profile of ${title}: ${ms.toFixed(0)} ms without the start of a process\n`);
    printRows('ms of a server', commands);
    const [file] = readdirSync(dir);
    if (file) printRows('ms of our process', readProfile(join(dir, file)));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function readCommands(text, side, commands) {
  for (const [, name, calls, usec] of text.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)) {
    if (!name.startsWith('config')) commands.set(`${side}: ${calls} × ${name}`, Number(usec) / 1000);
  }
}

function readProfile(file) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8'));
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const selfMs = new Map();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id);
    selfMs.set(name, (selfMs.get(name) ?? 0) + timeDeltas[index] / 1000);
  }
  return selfMs;
}

function nameOf({ functionName, url, lineNumber }) {
  const file = url.split('/').at(-1);
  return `${functionName || '(anonymous)'}${file ? ` ${file}:${lineNumber + 1}` : ''}`;
}

function printRows(head, rows) {
  console.log(`| ${head} | |\n|---|---|`);
  for (const [name, ms] of [...rows].sort((a, b) => b[1] - a[1]).slice(0, MOST)) {
    console.log(`| ${ms.toFixed(1)} | ${name} |`);
  }
  console.log();
}
