import { operatorsIn } from '../../lib/apply/claim.ts';
import { printable, printableJson } from '../../lib/cli/printable.ts';
import { parseManifest } from '../../lib/copy/backup/manifest.ts';
import { CommandStream } from '../../lib/copy/follow/command-stream.ts';
import { PsyncReply } from '../../lib/copy/follow/psync-reply.ts';
import { ClusterError } from '../../lib/errors.ts';
import { parseAddress } from '../../lib/model/address.ts';
import { NodeLines } from '../../lib/model/node-lines.ts';
import { parseClusterInfo } from '../../lib/model/view.ts';
import { redis } from '../../lib/move/by-servers/redis.ts';
import { valkey } from '../../lib/move/by-servers/valkey.ts';
import { databases, parseInfo } from '../../lib/nodes/node-info.ts';
import { dumpOf } from '../../lib/rdb/dump.ts';
import { type RdbItem, RdbWalker } from '../../lib/rdb/rdb.ts';
import { RdbFault } from '../../lib/rdb/rdb-bytes.ts';
import { SyncPayload } from '../../lib/rdb/sync-payload.ts';
import { Decoder, ProtocolError, type Reply, ReplyError } from '../../resp/index.ts';
import { readLineByLine } from '../helpers/views.ts';

/** A parser of what a peer sends. Throws if it does not treat these bytes as it must. */
export interface Target {
  readonly name: string;
  /** Valid input, which is changed to make other bytes. */
  readonly seeds: readonly string[];
  readonly run: (bytes: Buffer) => void;
}

const LIMITS = {
  maxBulkLength: 100_000,
  maxLineLength: 10_000,
  maxElements: 100_000,
  maxReplyLength: 1_000_000,
};

/** The result for bytes in these chunks, as text. */
function decoded(chunks: Iterable<Buffer>): string {
  const seen: string[] = [];
  const decoder = new Decoder({
    ...LIMITS,
    encoding: 'latin1',
    onReply: (reply) => seen.push(textOf(reply)),
  });
  try {
    for (const chunk of chunks) decoder.write(chunk);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    // Its type may depend on more than its first byte.
    seen.push(`${/HTTP|TLS/.test(error.code) ? 'RESP_TYPE' : error.code} ${error.offset}`);
    return seen.join('\n');
  }
  return [...seen, decoder.midReply].join('\n');
}

function textOf(reply: Reply): string {
  if (reply instanceof ReplyError) return `error ${reply.message}`;
  if (Array.isArray(reply)) return `[${reply.map(textOf).join(',')}]`;
  return `${typeof reply} ${String(reply)}`;
}

function* cut(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** Runs a parser that may throw only these errors. */
function mayThrow(
  work: () => unknown,
  ...types: readonly (abstract new (
    ...args: never[]
  ) => Error)[]
): void {
  try {
    work();
  } catch (error) {
    if (!types.some((type) => error instanceof type)) throw error;
  }
}

const ID = '07c37dfeb235213a872192d90877d0cd55635b91';
const NODES =
  `${ID} 127.0.0.1:30004@31004,hostname4 slave e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected\n` +
  `e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460 [5->-${ID}] [7-<-${ID}]\n`;

export const targets: readonly Target[] = [
  {
    name: 'Decoder',
    seeds: [
      '+OK\r\n:12\r\n$5\r\nhello\r\n*3\r\n:1\r\n$-1\r\n*2\r\n+a\r\n-ERR no\r\n',
      '*2\r\n*-1\r\n*1\r\n*1\r\n$0\r\n\r\n:9223372036854775807\r\n:-9007199254740993\r\n',
      `$300\r\n${'x'.repeat(300)}\r\n+${'y'.repeat(100)}\r\n`,
    ],
    run(bytes) {
      const whole = decoded([bytes]);
      for (const length of [1, 3, 7, 64]) {
        const parts = decoded(cut(bytes, length));
        if (parts !== whole)
          throw new Error(`In chunks of ${length} it reads ${parts}, and ${whole} at once`);
      }
    },
  },
  {
    name: 'CLUSTER NODES',
    seeds: [NODES, NODES + NODES],
    run(bytes) {
      const text = bytes.toString('latin1');
      const read = (work: () => unknown): string => {
        try {
          return JSON.stringify(work());
        } catch (error) {
          if (!(error instanceof TypeError)) throw error;
          return 'refused';
        }
      };
      const [plain, fast] = [read(() => readLineByLine(text)), read(() => new NodeLines().parse(bytes))];
      if (plain !== fast) throw new Error(`Two readers differ: ${plain} and ${fast}`);
    },
  },
  {
    name: 'CLUSTER INFO and INFO',
    seeds: [
      'cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_current_epoch:6\r\n',
      '# Keyspace\r\ndb0:keys=3,expires=0\r\ndb1:keys=1\r\n',
    ],
    run(bytes) {
      parseClusterInfo(bytes.toString('latin1'));
      for (const { db, keys } of databases(parseInfo(bytes.toString('latin1')))) {
        if (!Number.isFinite(db) || Number.isNaN(keys)) throw new Error(`Database ${db} of ${keys} keys`);
      }
    },
  },
  {
    name: 'CLIENT LIST',
    seeds: [
      'id=3 addr=127.0.0.1:50188 laddr=127.0.0.1:7000 fd=8 name=redis-trib:change:0a age=5 cmd=restore-asking user=default\n',
    ],
    run(bytes) {
      operatorsIn(bytes.toString('latin1'), 'a:1');
    },
  },
  {
    name: 'lists of slot migrations',
    seeds: [
      '*1\r\n*6\r\n+id\r\n+x\r\n+slots\r\n+0-5\r\n+state\r\n+completed\r\n',
      '*1\r\n*12\r\n+name\r\n+x\r\n+operation\r\n+EXPORT\r\n+slot_ranges\r\n+0-5 7-9\r\n+source_node\r\n+a\r\n+target_node\r\n+b\r\n+state\r\n+success\r\n',
    ],
    run(bytes) {
      const replies: Reply[] = [];
      const decoder = new Decoder({ ...LIMITS, onReply: (reply) => replies.push(reply) });
      mayThrow(() => decoder.write(bytes), ProtocolError);
      for (const reply of replies) {
        for (const dialect of [redis, valkey]) {
          mayThrow(() => dialect.readTasks(reply), ClusterError, ReplyError);
        }
      }
    },
  },
  {
    name: 'what a master sends after SYNC',
    seeds: ['\n\n$5\r\nREDIS*1\r\n', `$EOF:${ID}\r\nREDIS${ID}+`, '\n-LOADING it is loading\r\n'],
    run(bytes) {
      const received = (chunks: Iterable<Buffer>): string => {
        const payload = new SyncPayload();
        const taken: Uint8Array[] = [];
        mayThrow(() => {
          for (const chunk of chunks) taken.push(...payload.push(chunk));
        }, TypeError);
        return JSON.stringify([
          ...[Buffer.concat(taken).toString('latin1'), payload.isWhole, payload.bytes],
          payload.refusal,
        ]);
      };
      const whole = received([bytes]);
      for (const length of [1, 7]) {
        const parts = received(cut(bytes, length));
        if (parts !== whole)
          throw new Error(`In chunks of ${length} it reads ${parts}, and ${whole} at once`);
      }
    },
  },
  {
    name: 'replication streams',
    seeds: [
      `+FULLRESYNC ${ID} 15\r\n`,
      '*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n',
    ],
    run(bytes) {
      const received = (chunks: Iterable<Buffer>): string => {
        const seen: unknown[] = [];
        const stream = new CommandStream(0, {
          isWanted: () => false,
          onCommand: (words, offset) => seen.push([...words], offset),
        });
        const reply = new PsyncReply();
        let answer: ReturnType<PsyncReply['push']>;
        mayThrow(() => {
          for (const chunk of chunks) stream.push(chunk);
        }, TypeError);
        mayThrow(() => {
          for (const chunk of chunks) answer ??= reply.push(chunk);
        }, TypeError);
        return JSON.stringify([seen, answer?.answer]);
      };
      const whole = received([bytes]);
      for (const length of [1, 7]) {
        const parts = received([...cut(bytes, length)]);
        if (parts !== whole)
          throw new Error(`In chunks of ${length} it reads ${parts}, and ${whole} at once`);
      }
    },
  },
  {
    name: 'RDB files',
    seeds: [
      'REDIS0012\xfa\x01a\x01b\xfe\x00\xfb\x02\x01\xfc12345678\x00\x01k\xc3\x05\x14\x00a\xe0\x0a\x00\x02\x01s\x02\xc0\x05\x01a\xff12345678',
      'VALKEY080\xf3\x01j\x01\x02\x03\x16\x01h\x01\x01f\x01v12345678\xf5\x0e#!lua name=lib\xff12345678',
      `REDIS0011\x15\x01s\x01\x101234567890123456\x01l${'\x05'.repeat(8)}\x01\x01g\x01\x02\x03\x00\x01\x01c1234567812345678\x00\x07\x01m\x09\x05\x01p\x00\xff12345678`,
    ],
    run(bytes) {
      const found = (chunks: Iterable<Buffer>): string => {
        const walker = new RdbWalker(false);
        const seen = (item: RdbItem): string =>
          item.kind === 'key'
            ? `${item.db} ${item.key} ${item.type} ${dumpOf(item.type, item.value, 9)}`
            : item.code;
        const items: string[] = [];
        try {
          for (const chunk of chunks) items.push(...walker.push(chunk).map(seen));
          items.push(...walker.end().map(seen));
        } catch (error) {
          if (!(error instanceof RdbFault)) throw error;
          return `refused at ${error.offset}`;
        }
        return items.join('\n');
      };
      const whole = found([bytes]);
      for (const length of [1, 7]) {
        const parts = found(cut(bytes, length));
        if (parts !== whole)
          throw new Error(`In chunks of ${length} it reads ${parts}, and ${whole} at once`);
      }
      mayThrow(() => parseManifest(bytes.toString('utf8')), TypeError, SyntaxError, ClusterError);
    },
  },
  {
    name: 'addresses and what is printed',
    seeds: ['127.0.0.1:7000', '[::1]:7000@17000', 'a.b:1,\u001b[31m\u009b2J'],
    run(bytes) {
      const text = bytes.toString('utf8');
      mayThrow(() => parseAddress(text), ClusterError);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
      if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(printable(text)))
        throw new Error('A control character is printed');
      if (JSON.parse(printableJson(JSON.stringify(text))) !== text)
        throw new Error('JSON says something else');
    },
  },
];
