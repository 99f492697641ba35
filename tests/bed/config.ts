import { join } from 'node:path';
import type { StartOptions } from './types.ts';

export interface NodePlace {
  readonly dir: string;
  /** Where the server listens. */
  readonly bind: string;
  /** The address that it announces, if it is another one. */
  readonly announce: string | undefined;
  readonly port: number;
}

/** The text of a server's configuration file: short timeouts, nothing saved, and last what the test asks for. */
export function configText(place: NodePlace, options: StartOptions, major: number): string {
  const { dir, bind, announce, port } = place;
  const { cluster = true, password, tls = false, unixSocket = false } = options;
  const config: Record<string, string> = {
    bind,
    ...(tls ? tlsConfig(dir, port) : { port: String(port) }),
    'protected-mode': 'no',
    dir,
    save: '""',
    appendonly: 'no',
    loglevel: 'notice',
    'repl-diskless-sync-delay': '0',
    ...(unixSocket ? { unixsocket: join(dir, 'redis.sock') } : {}),
    ...(password === undefined ? {} : { requirepass: quote(password), masterauth: quote(password) }),
  };
  if (cluster) {
    config['cluster-enabled'] = 'yes';
    config['cluster-config-file'] = 'nodes.conf';
    config['cluster-node-timeout'] = '2000';
  }
  if (announce !== undefined) {
    if (cluster) config['cluster-announce-ip'] = announce;
    config['replica-announce-ip'] = announce;
    // Before 7.0, the first address of `bind` is the source of connections
    if (major >= 7) config['bind-source-addr'] = bind;
  }
  const lines = Object.entries({ ...config, ...options.config });
  return lines.map(([name, value]) => `${name} ${value === '' ? '""' : value}\n`).join('');
}

function tlsConfig(dir: string, port: number): Record<string, string> {
  return {
    port: '0',
    'tls-port': String(port),
    'tls-cert-file': join(dir, 'node.crt'),
    'tls-key-file': join(dir, 'node.key'),
    'tls-ca-cert-file': join(dir, 'ca.crt'),
    'tls-auth-clients': 'optional',
    'tls-replication': 'yes',
    'tls-cluster': 'yes',
  };
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
