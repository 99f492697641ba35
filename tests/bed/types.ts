import type { ServerProgram } from './servers.ts';

export type Backend = 'docker' | 'unpacked' | 'path';

/** Real servers for a test. All of them are gone after `close()`, and when the process ends, however it ends. */
export interface Bed extends AsyncDisposable {
  readonly backend: Backend;
  readonly server: Omit<ServerProgram, 'path'>;
  /** Starts servers on free ports and resolves when every one of them answers PING. */
  start(count: number, options?: StartOptions): Promise<ServerNode[]>;
  close(): Promise<void>;
}

export interface StartOptions {
  /** Settings for the configuration file, which override the bed's own. */
  readonly config?: Readonly<Record<string, string>>;
  /** @default true */
  readonly cluster?: boolean;
  readonly password?: string;
  /** Speaks only TLS, also between the nodes, with a new certificate. */
  readonly tls?: boolean;
  /** Puts a relay in front of each node, for `cutOff()` and `setDelay()`. Linux only, and not with `host`. */
  readonly relay?: boolean;
  /** Listens on a Unix socket too. */
  readonly unixSocket?: boolean;
  /** The loopback address to listen on. @default '127.0.0.1' */
  readonly host?: string;
}

/** What a client needs to speak TLS with a node. The node accepts the same pair as a client certificate. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface ServerNode {
  readonly host: string;
  readonly port: number;
  /** `host:port`, with an IPv6 address in brackets. */
  readonly address: string;
  readonly busPort: number;
  readonly dir: string;
  /** Undefined while the server does not run, or if it runs in a container. */
  readonly pid: number | undefined;
  readonly password: string | undefined;
  readonly unixSocket: string | undefined;
  /** PEM texts. */
  readonly tls: TlsFiles | undefined;
  /** SIGKILL; resolves when the server is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves when the server is gone. */
  stop(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Stops the server if it runs, and starts it on the same ports with the same files, or with another nodes.conf. */
  restart(options?: { readonly nodesConf?: 'keep' | 'empty' | { readonly text: string } }): Promise<void>;
  /**
   * Holds back everything to and from the node, like a network that drops packets, or only what it and these nodes send each other.
   * Needs `relay`.
   */
  cutOff(from?: readonly ServerNode[]): void;
  /** Delivers what was held back, and everything after. */
  reconnect(): void;
  /** Adds a one-way delay between clients and the node; other nodes are not affected. Needs `relay`. */
  setDelay(delayMs: number): void;
  /** The server's log, of all its runs. */
  log(): Promise<string>;
}
