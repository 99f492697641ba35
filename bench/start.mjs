import { execFileSync } from 'node:child_process';

export const unit = 'ms over bare node';
export const rows = ['import', 'import, connect, PING, exit'];
export const candidates = ['redis-trib', 'redis-parser', 'node-redis', 'ioredis'];
export const lowerIsBetter = () => true;

const ping = {
  'redis-trib': ({ resp, host, port }) => `
    import { connect } from '${resp}';
    const client = await connect({ host: '${host}', port: ${port} });
    await client.command(['PING']);
    await client.close();`,
  'node-redis': ({ host, port }) => `
    import { createClient } from 'redis';
    const client = await createClient({ socket: { host: '${host}', port: ${port} } }).connect();
    await client.ping();
    await client.close();`,
  ioredis: ({ host, port }) => `
    import { Redis } from 'ioredis';
    const client = new Redis({ host: '${host}', port: ${port} });
    await client.ping();
    await client.quit();`,
};

export function measure(candidate, row, context) {
  const time = (script) => {
    const started = performance.now();
    execFileSync(context.node, ['--input-type=module', '--eval', script], { cwd: context.cwd });
    return performance.now() - started;
  };
  const script =
    row === 'import'
      ? `import '${{ 'redis-trib': context.resp, 'node-redis': 'redis' }[candidate] ?? candidate}';`
      : ping[candidate]?.(context);
  if (script === undefined) return undefined;
  const bare = time('');
  return Math.max(0.1, time(script) - bare);
}
