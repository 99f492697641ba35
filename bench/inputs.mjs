/** Replies of nodes as bytes: each row is one reply or a few, repeated to about the given size. */

const bulk = (text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const array = (items) => `*${items.length}\r\n${items.join('')}`;
const times = (count, make) => Array.from({ length: count }, (_, index) => make(index));
const id = (index) => (index * 2654435761).toString(16).padStart(8, '0').repeat(5).slice(0, 40);

const slots = () =>
  array(
    times(100, (index) => {
      const node = (port) => array([bulk('127.0.0.1'), `:${port}\r\n`, bulk(id(port)), '*0\r\n']);
      return array([
        `:${index * 163}\r\n`,
        `:${index * 163 + 162}\r\n`,
        node(7000 + index),
        node(7100 + index),
      ]);
    }),
  );

const shards = () =>
  array(
    times(100, (index) => {
      const node = (port, role) =>
        array([
          ...[bulk('id'), bulk(id(port)), bulk('port'), `:${port}\r\n`, bulk('ip'), bulk('127.0.0.1')],
          ...[bulk('endpoint'), bulk('127.0.0.1'), bulk('role'), bulk(role)],
          ...[bulk('replication-offset'), `:${port * 31}\r\n`, bulk('health'), bulk('online')],
        ]);
      const range = array([`:${index * 163}\r\n`, `:${index * 163 + 162}\r\n`]);
      const nodes = array([node(7000 + index, 'master'), node(7100 + index, 'replica')]);
      return array([bulk('slots'), range, bulk('nodes'), nodes]);
    }),
  );

const nodes = () =>
  bulk(
    times(1000, (index) => {
      const flags = index % 2 === 0 ? 'master -' : `slave ${id(index - 1)}`;
      const address = `10.0.${index >> 8}.${index & 255}:6379@16379,host-${index}.example`;
      const range = index % 2 === 0 ? ` ${index * 16}-${index * 16 + 31}` : '';
      return `${id(index)} ${address} ${flags} 0 1700000000${index % 1000} ${index} connected${range}\n`;
    }).join(''),
  );

const mixed = (index) =>
  [`+PONG\r\n:${index * 7}\r\n`, bulk(`value:${index}`), '$-1\r\n', `:${index}\r\n`].join('');

export const inputs = {
  '`+OK`': () => '+OK\r\n'.repeat(1000),
  integers: () => times(1000, (index) => `:${index * index}\r\n`).join(''),
  'small mix': () => times(250, mixed).join(''),
  errors: () => times(1000, (index) => `-MOVED ${index} 127.0.0.1:${7000 + (index % 9)}\r\n`).join(''),
  'bulk 100 B': () => bulk('x'.repeat(100)).repeat(1000),
  'bulk 10 kB': () => bulk('x'.repeat(10_000)).repeat(20),
  'CLUSTER SLOTS 100x2': slots,
  'CLUSTER SHARDS 100x2': shards,
  'GETKEYSINSLOT 1000': () => array(times(1000, (index) => bulk(`user:{${index}}:${id(index).slice(0, 8)}`))),
  'CLUSTER NODES 1000': nodes,
};

/** Repeats a row up to `size` bytes and cuts it into chunks of 1 to `largest` bytes, the same chunks every time. */
export function chunksOf(row, largest, size = 1 << 20) {
  const once = inputs[row]();
  const wire = Buffer.from(once.repeat(Math.ceil(size / once.length)));
  const chunks = [];
  let seed = 42;
  for (let at = 0; at < wire.length; ) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const length = 1 + (seed % largest);
    // Each chunk in its own memory, as from a socket.
    chunks.push(Buffer.from(Uint8Array.prototype.slice.call(wire, at, at + length).buffer));
    at += length;
  }
  return { chunks, bytes: wire.length };
}
