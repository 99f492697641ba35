import { execFileSync } from 'node:child_process';

export const unit = 'MB';
export const rows = ['RSS after connect', 'peak, 100 MiB bulk as Buffer', 'peak, 100 MiB bulk as string'];
export const candidates = ['bare node', 'redis-trib', 'node-redis', 'ioredis'];
export const lowerIsBetter = () => true;
export const yardstick = 'bare node';

/** Each opens a client and, if `as` is given, reads the key. */
const scripts = {
  'bare node': () => '',
  'redis-trib': ({ resp, host, port }, as) => `
    const { connect } = await import('${resp}');
    const client = await connect({ host: '${host}', port: ${port} });
    ${as && `const reply = await client.command(['GET', 'bench:big'], { as: '${as}' });`}`,
  'node-redis': ({ host, port }, as) => `
    const { createClient, RESP_TYPES } = await import('redis');
    const client = await createClient({ socket: { host: '${host}', port: ${port} } }).connect();
    ${as && `const reply = await client${as === 'buffer' ? '.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })' : ''}.get('bench:big');`}`,
  ioredis: ({ host, port }, as) => `
    const { Redis } = await import('ioredis');
    const client = new Redis({ host: '${host}', port: ${port} });
    await new Promise((resolve) => client.once('ready', resolve));
    ${as && `const reply = await client.${as === 'buffer' ? 'getBuffer' : 'get'}('bench:big');`}`,
};

const fill = ({ resp, host, port }) => `
  const { connect } = await import('${resp}');
  const client = await connect({ host: '${host}', port: ${port} });
  await client.command(['SET', 'bench:big', Buffer.alloc(100 * 2 ** 20, 'x')]);
  await client.close();`;

let filled = false;

export function measure(candidate, row, context) {
  const peak = row.startsWith('peak');
  const run = (script) =>
    execFileSync(context.node, ['--input-type=module', '--eval', script], {
      cwd: context.cwd,
      encoding: 'utf8',
    });
  if (peak && !filled) run(fill(context));
  filled ||= peak;
  const as = peak && (row.endsWith('Buffer') ? 'buffer' : 'string');
  const figure = peak ? 'process.resourceUsage().maxRSS / 1000' : 'process.memoryUsage().rss / 1e6';
  return Number(run(`${scripts[candidate](context, as || '')}\nconsole.log(${figure}); process.exit();`));
}
