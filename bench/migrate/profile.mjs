import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MOST = 20;

/** Has `run` start Node with a profiler, and prints where the time went. */
export async function profile(title, run) {
  const dir = mkdtempSync(join(tmpdir(), 'redis-trib-profile-'));
  try {
    const { ms } = await run(['--cpu-prof', '--cpu-prof-dir', dir]);
    const [file] = readdirSync(dir);
    const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(dir, file), 'utf8'));
    const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
    const selfMs = new Map();
    for (const [index, id] of samples.entries()) {
      const name = names.get(id);
      selfMs.set(name, (selfMs.get(name) ?? 0) + timeDeltas[index] / 1000);
    }
    console.log(`### Profile of ${title}: ${ms.toFixed(0)} ms without the start of the process\n`);
    console.log('| ms | where |\n|---|---|');
    for (const [name, time] of [...selfMs].sort((a, b) => b[1] - a[1]).slice(0, MOST)) {
      console.log(`| ${time.toFixed(1)} | ${name} |`);
    }
    console.log();
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function nameOf({ functionName, url, lineNumber }) {
  const file = url.split('/').at(-1);
  return `${functionName || '(anonymous)'}${file ? ` ${file}:${lineNumber + 1}` : ''}`;
}
