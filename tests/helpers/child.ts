import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { buildProgram, builtProgram } from './programs.ts';

export type Outcome =
  | { readonly killed: true }
  | { readonly killed: false; readonly ok: true; readonly elapsedMs: number }
  | { readonly killed: false; readonly ok: false; readonly code?: string; readonly message: string };

const programs = new Map<string, Promise<string>>();

/** The path of a script of this folder as a program. */
function programOf(name: string): Promise<string> {
  const known = programs.get(name);
  if (known !== undefined) return known;
  const path = builtProgram(name);
  const program = path === undefined ? buildOnce(name) : Promise.resolve(path);
  programs.set(name, program);
  return program;
}

function buildOnce(name: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'redis-trib-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  return buildProgram(`tests/helpers/${name}`, dir);
}

/** Runs an operation in a process that is killed at its nth write to a socket, or never for 0. */
export async function runOperation(name: string, args: readonly unknown[], killAt = 0): Promise<Outcome> {
  const program = await programOf('run-operation');
  const child = spawn(process.execPath, [program, name, JSON.stringify(args), `${killAt}`], {
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
  const child = spawn(process.execPath, ['--expose-gc', await programOf(name), ...args], {
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
