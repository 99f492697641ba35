import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nowMs } from './clock.mjs';

let number = 0;

/**
 * Runs a program to its end. Its output goes to a file, so it never waits for us to read. Rejects if it fails.
 * `onTick` is called with its process id many times a second.
 */
export async function runProgram(program, args, { timeoutMs = 600_000, onTick } = {}) {
  const file = join(tmpdir(), `redis-trib-bench-${process.pid}-${number++}.out`);
  const output = openSync(file, 'w');
  const from = nowMs();
  const child = spawn(program, args, {
    stdio: ['ignore', output, output],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const ticker = onTick && setInterval(() => onTick(child.pid), 50);
  try {
    const [code, signal] = await once(child, 'exit');
    const to = nowMs();
    const text = readFileSync(file, 'utf8');
    if (code !== 0) {
      const end = text.trim().split('\n').slice(-15).join('\n');
      throw new Error(`${[program, ...args].join(' ')} exited with ${code ?? signal}:\n${end}`);
    }
    return { from, to, ms: to - from, text };
  } finally {
    clearInterval(ticker);
    closeSync(output);
    rmSync(file);
  }
}
