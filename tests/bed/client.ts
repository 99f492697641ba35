import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, connect, type Reply } from '../../resp/index.ts';
import type { ServerNode } from './types.ts';

export type Target = Pick<ServerNode, 'host' | 'port'> & Partial<Pick<ServerNode, 'password' | 'tls'>>;

/** A connection to a node, with its password and TLS. */
export function connectTo(node: Target): Promise<Connection> {
  const { host, port, password, tls } = node;
  return connect({
    host,
    port,
    encoding: 'latin1',
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  });
}

/** Sends a node one command, on a connection of its own. */
export async function ask(node: Target, ...command: string[]): Promise<Reply> {
  const connection = await connectTo(node);
  try {
    return await connection.command(command);
  } finally {
    connection.destroy();
  }
}

/** Pauses are this share of the time waited so far: what takes seconds need not be checked fifty times a second. */
const PAUSE_SHARE = 0.05;
const [SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS] = [10, 100];

/** Checks until the condition holds; rejects at the deadline with what it waited for. Errors count as false. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const started = Date.now();
  for (let cause: unknown; ; ) {
    try {
      if (await condition()) return;
    } catch (error) {
      cause = error;
    }
    const waitedMs = Date.now() - started;
    if (waitedMs > timeoutMs) throw new Error(`Waited ${timeoutMs} ms until ${what}, in vain`, { cause });
    await delay(Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, PAUSE_SHARE * waitedMs)));
  }
}
