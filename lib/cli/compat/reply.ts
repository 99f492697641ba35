import type { Reply } from '../../../resp/index.ts';

/** A reply as redis-cli prints it where stdout is no terminal: strings as they are, the items of arrays a line each. */
export function showReply(reply: Reply): string {
  if (reply === null) return '';
  if (Array.isArray(reply)) return reply.map(showReply).join('\n');
  if (reply instanceof Uint8Array) return Buffer.from(reply).toString('utf8');
  return reply instanceof Error ? `${reply.message}\n` : String(reply);
}
