import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { findCommand } from '../../lib/cli/commands.ts';
import { assertOutput } from '../helpers/printed.ts';
import type { Strike } from './strike.ts';

export type Method = 'migrate' | 'atomic';

/** The result of a run of the tool. */
export interface Run {
  readonly args: readonly string[];
  /** Exit code, or the signal that ended it. */
  readonly end: number | string;
  /** True if what should happen during it did happen. */
  readonly struck: boolean;
  readonly error: ToolError | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

export interface ToolError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly address?: string;
  readonly openSlots: readonly number[];
  readonly keys?: readonly string[];
}

/** A run in progress. */
export interface Started {
  /** Resolves to true at the given moment, or to false if the run ends before. */
  readonly struck: Promise<boolean>;
  readonly ended: Promise<Run>;
}

const LONGEST_RUN_MS = 60_000;
let folder: string | undefined;

/** The command line as bundled files, which start in a fraction of the time. */
function built(): string {
  if (folder !== undefined) return folder;
  const dir = mkdtempSync(join(tmpdir(), 'redis-trib-faults-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  folder = dir;
  const root = join(import.meta.dirname, '../..');
  buildSync({
    entryPoints: [join(root, 'cli.ts'), join(root, 'tests/faults/strike.ts')],
    outdir: dir,
    outbase: root,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
  return dir;
}

/** Starts the command line in a process of its own. */
export function startTool(args: readonly string[], strike?: Strike): Started {
  const dir = built();
  const loaded = pathToFileURL(join(dir, 'tests/faults/strike.mjs')).href;
  const started = performance.now();
  const child = spawn(process.execPath, ['--import', loaded, join(dir, 'cli.mjs'), ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, FAULT_STRIKE: JSON.stringify(strike ?? { at: 0, from: 'start' }) },
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
      texts[name] += chunk;
    });
  }
  let struck = false;
  const ended = whenClosed(child).then(async (end): Promise<Run> => {
    await assertOutput(['--json'], texts.stdout);
    return {
      args,
      end,
      struck: struck || (strike?.signal !== undefined && end === strike.signal),
      error: errorIn(texts.stdout),
      ...texts,
      elapsedMs: performance.now() - started,
    };
  });
  const moment = new Promise<boolean>((resolve) => {
    child.on('message', () => {
      struck = true;
      resolve(true);
    });
    ended.then((run) => resolve(run.struck));
  });
  return { struck: moment, ended };
}

/** Runs the command line to its end. */
export function runTool(args: readonly string[]): Promise<Run> {
  return startTool(args).ended;
}

/** True if the command has an option for the method. */
export function takesMethod(): boolean {
  return findCommand('migrate_slots')?.flags?.method !== undefined;
}

async function whenClosed(child: ChildProcess): Promise<number | string> {
  const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_RUN_MS);
  const end = await new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? code ?? 'unknown'));
  });
  clearTimeout(timer);
  return end;
}

function errorIn(stdout: string): ToolError | undefined {
  try {
    return (JSON.parse(stdout) as { error?: ToolError }).error;
  } catch {
    return undefined;
  }
}
