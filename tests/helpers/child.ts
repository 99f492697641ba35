import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

export type Outcome =
  | { readonly killed: true }
  | { readonly killed: false; readonly ok: true; readonly elapsedMs: number }
  | { readonly killed: false; readonly ok: false; readonly code?: string; readonly message: string };

const bundles = new Map<string, string>();

/** A script of this folder as one file, which starts in a tenth of the time. */
function bundled(name: string): string {
  const known = bundles.get(name);
  if (known !== undefined) return known;
  const dir = mkdtempSync(join(tmpdir(), 'redis-trib-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const bundle = join(dir, `${name}.mjs`);
  bundles.set(name, bundle);
  buildSync({
    entryPoints: [fileURLToPath(new URL(`./${name}.ts`, import.meta.url))],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
  });
  return bundle;
}

/** Runs an operation in a process that is killed at its nth write to a socket, or never for 0. */
export async function runOperation(name: string, args: readonly unknown[], killAt = 0): Promise<Outcome> {
  const child = spawn(process.execPath, [bundled('run-operation'), name, JSON.stringify(args), `${killAt}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  let saidAt = 0;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    saidAt = performance.now();
  });
  const [code, signal] = await once(child, 'close');
  if (signal === 'SIGKILL') return { killed: true };
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${text}`);
  const lingered = performance.now() - saidAt;
  if (lingered > 1000) throw new Error(`${name} kept its process alive for ${lingered} ms after its end`);
  return { killed: false, ...JSON.parse(text) };
}

/** Runs a script of this folder in a process that exposes gc(). Resolves to the JSON that it prints. */
export async function runScript<Result>(name: string, args: readonly string[]): Promise<Result> {
  const child = spawn(process.execPath, ['--expose-gc', bundled(name), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${text}`);
  return JSON.parse(text) as Result;
}
