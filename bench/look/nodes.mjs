/** As many simulated cluster nodes as asked for, each a server on its own loopback port, until the parent ends this process. */
import { createServer } from 'node:net';

const count = Number(process.argv[2]);
const masters = Math.ceil(count / 2);
const idOf = (node) => (node + 1).toString(16).padStart(40, '0');
const replies = [];

function nodesText(observer, ports) {
  return ports
    .map((port, node) => {
      const isMaster = node < masters;
      const role = isMaster ? 'master' : 'slave';
      const [first, last] = [node, node + 1].map((index) => Math.floor((index * 16384) / masters));
      const slots = isMaster ? ` ${first}-${last - 1}` : '';
      const flags = node === observer ? `myself,${role}` : role;
      const times = node === observer ? '0 0' : `0 ${1700000000000 + observer * 1000 + node}`;
      const masterId = isMaster ? '-' : idOf(node - masters);
      const epoch = (isMaster ? node : node - masters) + 1;
      return `${idOf(node)} 127.0.0.1:${port}@${port + 10000} ${flags} ${masterId} ${times} ${epoch} connected${slots}\n`;
    })
    .join('');
}

function infoText(node, section) {
  const isMaster = node < masters;
  const sections = {
    server: `redis_version:8.6.0\r\nrun_id:${idOf(node)}\r\n`,
    replication: isMaster
      ? 'role:master\r\nmaster_repl_offset:14\r\n'
      : 'role:slave\r\nmaster_link_status:up\r\nslave_repl_offset:14\r\n',
    memory: 'used_memory:1000000\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n',
    keyspace: 'db0:keys=100,expires=0,avg_ttl=0\r\n',
    persistence: 'rdb_last_bgsave_status:ok\r\n',
  };
  return sections[section] ?? '';
}

const list = (...texts) => `*${texts.length}\r\n${texts.map(bulk).join('')}`;

/** As many settings as a server of 8.6 has of each name, all alike. */
const settings = {
  'cluster-*': Array.from({ length: 26 }, (_, index) => [`cluster-setting-number-${index}`, '15000']).flat(),
  maxmemory: ['maxmemory', '0'],
  appendonly: ['appendonly', 'no'],
  save: ['save', '3600 1 300 100 60 10000'],
  requirepass: ['requirepass', ''],
  'tls-auth-clients*': ['tls-auth-clients', 'yes'],
  'master*': ['masterauth', '', 'masteruser', ''],
};

const bulk = (text) => `$${text.length}\r\n${text}\r\n`;

function answer(node, [command = '', sub = '', name = '']) {
  switch (`${command} ${sub}`.toUpperCase()) {
    case 'CLUSTER NODES':
      return replies[node];
    case 'CLUSTER INFO':
      return bulk(
        `cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:${count}\r\ncluster_current_epoch:${count}\r\n`,
      );
    case 'CLUSTER MYID':
      return bulk(idOf(node));
    case 'CLUSTER MYSHARDID':
      return bulk(idOf(node < masters ? node : node - masters));
    case 'CONFIG GET':
      return list(...(settings[name] ?? []));
    case 'ACL LIST':
      return list('user default on nopass sanitize-payload ~* &* +@all');
    case 'FUNCTION LIST':
    case 'CLUSTER SHARDS':
      return '*0\r\n';
    default:
      if (command.toUpperCase() === 'INFO') return bulk(infoText(node, sub.toLowerCase()));
      return command.toUpperCase() === 'PING' ? '+PONG\r\n' : '+OK\r\n';
  }
}

// Commands are small and arrive whole or not at all: a part waits for the rest.
function serve(node, socket) {
  let rest = '';
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.on('data', (data) => {
    rest += data.toString('latin1');
    let out = '';
    for (;;) {
      const read = readCommand(rest);
      if (!read) break;
      rest = rest.slice(read.length);
      out += answer(node, read.words);
    }
    if (out) socket.write(out, 'latin1');
  });
}

function readCommand(text) {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (!head) return undefined;
  const words = [];
  let at = head[0].length;
  for (let word = 0; word < Number(head[1]); word++) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (!size) return undefined;
    at += size[0].length;
    const end = at + Number(size[1]);
    if (text.length < end + 2) return undefined;
    words.push(text.slice(at, end));
    at = end + 2;
  }
  return { words, length: at };
}

const ports = await Promise.all(
  Array.from({ length: count }, async (_, node) => {
    const server = createServer((socket) => serve(node, socket));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server.address().port;
  }),
);
for (let node = 0; node < count; node++) replies.push(bulk(nodesText(node, ports)));
process.send({ ports });
process.on('disconnect', () => process.exit());
