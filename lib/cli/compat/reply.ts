import type { Reply } from '../../../resp/index.ts';

/** A reply as redis-cli prints it if stdout is not a terminal: strings as they are, one line per array element. */
export function showReply(reply: Reply): string {
  if (reply === null) return '';
  if (Array.isArray(reply)) return reply.map(showReply).join('\n');
  if (reply instanceof Uint8Array) return Buffer.from(reply).toString('utf8');
  return reply instanceof Error ? `${reply.message}\n` : String(reply);
}
