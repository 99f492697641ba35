import { once } from 'node:events';
import * as net from 'node:net';

export const unit = 'thousand commands/s; latency in µs';
export const rows = ['SET x1', 'SET x10', 'SET x100', 'SET x1000', 'GET x1000', 'PING p50', 'PING p99'];
export const candidates = [
  ...['raw socket', 'redis-trib', 'redis-trib pipeline', 'node-redis', 'node-redis pipeline'],
  ...['ioredis', 'ioredis pipeline'],
];
export const lowerIsBetter = (row) => row.startsWith('PING');
export const yardstick = 'raw socket';

const key = 'bench:key';
const value = 'x'.repeat(20);
const commandsOf = (name, count) =>
  Array.from({ length: count }, () => (name === 'SET' ? ['SET', key, value] : ['GET', key]));

/** Each returns a function that sends commands and resolves when all are answered. */
const openers = {
  async 'redis-trib'({ resp, host, port }, pipeline = false) {
    const { connect } = await import(resp);
    const connection = await connect({ host, port });
    return {
      send: pipeline
        ? (commands) => connection.pipeline(commands)
        : (commands) => Promise.all(commands.map((command) => connection.command(command))),
      close: () => connection.close(),
    };
  },
  'redis-trib pipeline': (context) => openers['redis-trib'](context, true),
  async 'node-redis'({ host, port }, pipeline = false) {
    const { createClient } = await import('redis');
    const client = await createClient({ socket: { host, port } }).connect();
    const pipe = (commands) => {
      const multi = client.multi();
      for (const [name, ...args] of commands)
        name === 'SET' ? multi.set(...args) : name === 'GET' ? multi.get(...args) : multi.ping();
      return multi.execAsPipeline();
    };
    const all = (commands) =>
      Promise.all(
        commands.map(([name, ...args]) =>
          name === 'SET' ? client.set(...args) : name === 'GET' ? client.get(...args) : client.ping(),
        ),
      );
    return { send: pipeline ? pipe : all, close: () => client.close() };
  },
  'node-redis pipeline': (context) => openers['node-redis'](context, true),
  async ioredis({ host, port }, pipeline = false) {
    const { Redis } = await import('ioredis');
    const client = new Redis({ host, port });
    await once(client, 'ready');
    const pipe = (commands) => {
      const batch = client.pipeline();
      for (const [name, ...args] of commands) batch[name.toLowerCase()](...args);
      return batch.exec();
    };
    const all = (commands) =>
      Promise.all(commands.map(([name, ...args]) => client[name.toLowerCase()](...args)));
    return { send: pipeline ? pipe : all, close: () => client.quit() };
  },
  'ioredis pipeline': (context) => openers.ioredis(context, true),
  async 'raw socket'({ host, port }) {
    const socket = net.connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    let missing = 0;
    let resolve;
    socket.on('data', (chunk) => {
      missing -= chunk.length;
      if (missing === 0) resolve();
    });
    const wires = new Map();
    return {
      send(commands) {
        const [[name]] = commands;
        let wire = wires.get(commands.length + name);
        if (wire === undefined) {
          wire = Buffer.from(
            commands
              .map(
                (words) =>
                  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`,
              )
              .join(''),
          );
          wires.set(commands.length + name, wire);
        }
        missing = commands.length * { SET: 5, PING: 7, GET: 108 }[name];
        socket.write(wire);
        return new Promise((done) => {
          resolve = done;
        });
      },
      close: () => socket.destroy(),
    };
  },
};

export async function prepare(candidate, row, context) {
  const { send, close } = await openers[candidate](context);
  const [name, size] = row.split(' ');
  if (name === 'PING') {
    const quantile = Number(size.slice(1)) / 100;
    return { close, measure: () => latency(() => send([['PING']]), quantile) };
  }
  if (name === 'GET')
    await openers['redis-trib'](context).then(async ({ send, close }) => {
      await send([['SET', key, 'x'.repeat(100)]]);
      await close();
    });
  const commands = commandsOf(name, Number(size.slice(1)));
  return {
    close,
    async run() {
      await send(commands);
      return commands.length / 1000;
    },
  };
}

async function latency(ping, quantile) {
  const times = [];
  for (let index = 0; index < 3000; index++) {
    const started = performance.now();
    await ping();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length * quantile)] * 1000;
}
