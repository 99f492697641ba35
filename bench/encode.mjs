import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const unit = 'thousand commands/s, as one Buffer in hand';
export const candidates = ['redis-trib', 'redis-trib latin1', 'node-redis', 'ioredis'];

const id = '07c37dfeb235213a872192d90877d0cd55635b91';
const keys = Array.from({ length: 100 }, (_, index) => `user:{42}:${index}`);
const migrate = ['MIGRATE', '127.0.0.1', '7001', '', '0', '5000', 'KEYS'];
const commands = {
  PING: ['PING'],
  'GET key': ['GET', 'user:1000:name'],
  'SET key 20 B': ['SET', 'user:1000:name', 'x'.repeat(20)],
  'SET key 20 B, not ASCII': ['SET', 'user:1000:name', 'é'.repeat(10)],
  'CLUSTER SETSLOT': ['CLUSTER', 'SETSLOT', '42', 'NODE', id],
  'SET key 10 kB string': ['SET', 'user:1000:name', 'x'.repeat(10_000)],
  'SET key 10 kB Buffer': ['SET', 'user:1000:name', Buffer.alloc(10_000, 'x')],
  'MIGRATE 100 string keys': [...migrate, ...keys],
  'MIGRATE 100 Buffer keys': [...migrate, ...keys.map((key) => Buffer.from(key))],
  'CLUSTER ADDSLOTS 5461': [
    'CLUSTER',
    'ADDSLOTS',
    ...Array.from({ length: 5461 }, (_, slot) => String(slot)),
  ],
};
export const rows = Object.keys(commands);

function joined(pieces, encoding) {
  if (typeof pieces === 'string') return Buffer.from(pieces, encoding);
  if (Buffer.isBuffer(pieces)) return pieces;
  if (pieces.length === 1) return Buffer.from(pieces[0], encoding);
  return Buffer.concat(
    pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, encoding) : piece)),
  );
}

const openers = {
  async 'redis-trib'({ resp }, encoding = 'utf8') {
    const { encodeCommand } = await import(resp);
    return (command) => joined(encodeCommand(command, encoding), 'latin1');
  },
  'redis-trib latin1': (context) => openers['redis-trib'](context, 'latin1'),
  'node-redis'() {
    const file = new URL('node_modules/@redis/client/dist/lib/RESP/encoder.js', import.meta.url).pathname;
    const encode = require(file).default;
    return (command) => joined(encode(command), 'utf8');
  },
  ioredis() {
    const { Command } = require('ioredis');
    return ([name, ...args]) => joined(new Command(name, args).toWritable(), 'utf8');
  },
};

export async function prepare(candidate, row, context) {
  const encode = await openers[candidate](context);
  const command = commands[row];
  const count = row.includes('5461') ? 10 : 1000;
  let sink;
  return {
    run() {
      for (let index = 0; index < count; index++) sink = encode(command);
      return count / 1000;
    },
    close: () => sink,
  };
}
