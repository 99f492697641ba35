import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { memorySampler } from '../migrate/memory.mjs';

/** Runs our tool, and keeps what it says of its progress and how much memory it takes. */
export function startTool(cli, words) {
  const child = spawn(process.execPath, [cli, ...words, '--yes', '--json-stream'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const memory = memorySampler();
  const ticker = setInterval(() => memory.tick(child.pid), 50);
  const tool = { child, events: [], last: undefined, errors: '', memory: memory.seen };
  child.stderr.on('data', (data) => {
    tool.errors += data;
  });
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    tool.last = JSON.parse(line);
    const event = tool.last.event ?? tool.last;
    if (String(event.type).startsWith('follow') || event.type === 'writes-paused') {
      tool.events.push({ ...event, at: performance.now() });
    }
  });
  tool.ended = Promise.all([once(child, 'exit'), once(lines, 'close')]).then(([[code, signal]]) => {
    clearInterval(ticker);
    return { code, signal };
  });
  return tool;
}

/** Resolves once the tool was at most so far behind; rejects if it ends before. */
export async function untilCloserThan(tool, ms, timeoutMs = 120_000) {
  const from = performance.now();
  let end;
  tool.ended.then((one) => {
    end = one;
  });
  const isClose = ({ type, at, behindMs }) => type === 'follow-progress' && at > from && behindMs < ms;
  while (!tool.events.some(isClose)) {
    if (end) throw new Error(`The tool ended with ${end.code ?? end.signal}: ${tool.errors}`);
    if (performance.now() - from > timeoutMs)
      throw new Error(`More than ${ms} ms behind for ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return performance.now() - from;
}
