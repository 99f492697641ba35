/** Sends a command to the server that has a key. Errors are null. */
export type AskServer = (command: readonly string[]) => Promise<unknown>;

/** What clients see of a key, in an order that does not depend on its encoding. */
export async function seenByClients(ask: AskServer, key: string): Promise<unknown> {
  const type = String(await ask(['TYPE', key]));
  switch (type) {
    case 'string':
      return [type, await ask(['GET', key])];
    case 'list':
      return [type, await ask(['LRANGE', key, '0', '-1'])];
    case 'set':
      return [type, ((await ask(['SMEMBERS', key])) as string[]).sort()];
    case 'zset': {
      const flat = (await ask(['ZRANGE', key, '0', '-1', 'WITHSCORES'])) as string[];
      // Servers differ in how many digits they write.
      return [type, flat.map((one, index) => (index % 2 && /\d/.test(one) ? Number(one) : one))];
    }
    case 'hash': {
      const fields = ((await ask(['HKEYS', key])) as string[]).sort();
      const times = await ask(['HPEXPIRETIME', key, 'FIELDS', `${fields.length}`, ...fields]);
      return [type, fields, await ask(['HMGET', key, ...fields]), timesOf(times)];
    }
    case 'stream': {
      const named = (reply: unknown) => fieldsOf(reply);
      const groups = ((await ask(['XINFO', 'GROUPS', key])) as unknown[]).map(named);
      const [first] = groups;
      const pending = first ? await ask(['XPENDING', key, 'group', '-', '+', '100']) : [];
      return [
        type,
        await ask(['XRANGE', key, '-', '+']),
        named(await ask(['XINFO', 'STREAM', key]))['last-generated-id'],
        groups.map((group) => [group.name, group.pending, group.consumers, group['last-delivered-id']]),
        (pending as unknown[][]).map(([id, consumer, , count]) => [id, consumer, count]),
      ];
    }
    default:
      return [type, await ask(['VEMB', key, 'element'])];
  }
}

// Without times they are as on a server that does not know them.
function timesOf(reply: unknown): unknown {
  return Array.isArray(reply) && reply.some((time) => Number(time) > 0) ? reply : null;
}

function fieldsOf(reply: unknown): Record<string, unknown> {
  const flat = reply as unknown[];
  return Object.fromEntries(
    flat.flatMap((name, index) => (index % 2 ? [] : [[String(name), flat[index + 1]]])),
  );
}
