import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { runMain } from '../helpers/made-up-io.ts';
import { bulk, type MadeUpServer, startMadeUp } from '../helpers/made-up-server.ts';

const SHARES = ['0-8191', '8192-16383'];
const INFO = 'cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:2\r\n';

/** Two masters that answer on a connection only after so many commands have arrived on it. */
async function twoMasters(wanted: readonly [number, number]): Promise<readonly [MadeUpServer, MadeUpServer]> {
  const ports: number[] = [];
  const nodes = (port: number): string =>
    ports
      .map((each, index) => {
        const flags = each === port ? 'myself,master' : 'master';
        return `${`${index}`.repeat(40)} 127.0.0.1:${each}@1 ${flags} - 0 0 ${index + 1} connected ${SHARES[index]}\n`;
      })
      .join('');
  const start = async (most: number) => {
    const held = new Map<Socket, Buffer[]>();
    const server = await startMadeUp(([first = '', second = ''], port) => {
      const command = `${first} ${second}`;
      const text = { 'CLUSTER NODES': nodes(port), 'CLUSTER INFO': INFO }[command] ?? '# none\r\n';
      const reply = first === 'CLIENT' || first === 'AUTH' ? Buffer.from('+OK\r\n') : bulk(text);
      return (socket) => {
        const replies = [...(held.get(socket) ?? []), reply];
        held.set(socket, replies);
        if (replies.length === most) socket.write(Buffer.concat(replies));
      };
    });
    ports.push(server.port);
    return server;
  };
  return [await start(wanted[0]), await start(wanted[1])];
}

describe('Looking at a cluster', () => {
  for (const [command, wanted, count] of [
    ['list', [4, 4], 1],
    ['info', [6, 6], 2],
    // The first is asked about its links, too.
    ['check', [23, 21], 2],
  ] as const) {
    test(`with ${command} sends each node all commands before its first answer`, async () => {
      const servers = await twoMasters(wanted);
      const [first] = servers;
      try {
        const { code, stdout, stderr } = await runMain([command, first.address], {
          env: { REDISCLI_AUTH: 'only-for-tests' },
        });
        assert.equal(code, 0, stdout + stderr);
        const asked = servers.filter(({ commands }) => commands.length > 0);
        assert.equal(asked.length, count);
        for (const [index, { commands }] of asked.entries()) {
          assert.equal(commands.length, wanted[index]);
          assert.equal(new Set(commands.map(String)).size, wanted[index]);
        }
      } finally {
        for (const server of servers) await server[Symbol.asyncDispose]();
      }
    });
  }

  test('asks forty others at once', async () => {
    const ports: number[] = [];
    const held: (() => void)[] = [];
    let asked = 0;
    const nodes = (port: number): string =>
      ports
        .map((each, index) => {
          const flags = each === port ? 'myself,master' : 'master';
          const slots = index === 0 ? ' 0-16383' : '';
          return `${index.toString(16).padStart(40, '0')} 127.0.0.1:${each}@1 ${flags} - 0 0 ${index + 1} connected${slots}\n`;
        })
        .join('');
    const servers: MadeUpServer[] = [];
    for (let count = 0; count <= 40; count++) {
      const server = await startMadeUp(([first = '', second = ''], port) => {
        if (first === 'CLIENT') return '+OK\r\n';
        const command = `${first} ${second}`;
        const text = { 'CLUSTER NODES': nodes(port), 'CLUSTER INFO': INFO }[command] ?? '# none\r\n';
        const reply = bulk(text);
        if (port === ports[0]) return reply;
        if (second === 'NODES') asked++;
        return (socket) => {
          held.push(() => socket.write(reply));
          if (asked === 40) for (const send of held.splice(0)) send();
        };
      });
      servers.push(server);
      ports.push(server.port);
    }
    try {
      const { code, stdout, stderr } = await runMain(['check', `127.0.0.1:${ports[0]}`]);
      assert.equal(code, 0, stdout + stderr);
    } finally {
      for (const server of servers) await server[Symbol.asyncDispose]();
    }
  });
});
