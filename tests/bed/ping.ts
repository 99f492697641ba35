import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TlsFiles } from './types.ts';

export interface PingTarget {
  readonly host: string;
  readonly port: number;
  readonly password: string | undefined;
  readonly tls: TlsFiles | undefined;
}

/** Resolves to true if a server answers PING with PONG: not while it is loading, or with a wrong password. */
export function ping(target: PingTarget): Promise<boolean> {
  return new Promise((resolve) => {
    const { host, port, tls } = target;
    const socket: Socket =
      tls === undefined
        ? connect({ host, port })
        : connectTls({ host, port, ...tls, checkServerIdentity: () => undefined });
    let answer = '';
    const finish = (isUp: boolean) => {
      socket.destroy();
      resolve(isUp);
    };
    socket.setTimeout(2000, () => finish(false));
    socket.on('error', () => finish(false));
    socket.on('close', () => finish(false));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (answer.includes('PONG\r\n')) finish(true);
      else if (/^-(?!ERR Client sent AUTH).*\r\n$/s.test(answer)) finish(false);
    });
    const commands = target.password === undefined ? [['PING']] : [['AUTH', target.password], ['PING']];
    socket.write(commands.map(encode).join(''));
  });
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}
