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

/** Asks a node one thing, on a connection of its own. */
export async function ask(node: Target, ...command: string[]): Promise<Reply> {
  const connection = await connectTo(node);
  try {
    return await connection.command(command);
  } finally {
    connection.destroy();
  }
}

/** Looks until the condition holds; says on the deadline what it waited for. Errors count as not yet. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (let cause: unknown; ; await delay(20)) {
    try {
      if (await condition()) return;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain until ${what}`, { cause });
  }
}
