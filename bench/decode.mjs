import { createRequire } from 'node:module';
import { chunksOf, inputs } from './inputs.mjs';

const require = createRequire(import.meta.url);

const nested = ['CLUSTER SLOTS 100x2', 'CLUSTER SHARDS 100x2', 'GETKEYSINSLOT 1000', 'CLUSTER NODES 1000'];
const shredded = nested.map((row) => `${row}, shredded`);

export const unit = 'MB/s';
export const rows = [
  ...[...Object.keys(inputs), ...shredded].map((row) => `${row} as strings`),
  ...Object.keys(inputs).map((row) => `${row} as Buffers`),
];
export const candidates = ['redis-trib', 'redis-trib latin1', 'redis-parser', 'node-redis', 'ioredis'];

/** Makes a string join its pieces; it contains none of these chars, which V8 finds without reading it. */
const readable = /[\u0100-\uffff]/;

/** Keeps replies from being optimised away, and reads long strings: some are ropes whose pieces are not joined yet. */
let sink;
function onReply(reply) {
  sink = reply;
  if (typeof reply === 'string' && reply.length > 1000) readable.test(reply);
}

const openers = {
  async 'redis-trib'(asBuffer, { resp }, encoding = 'utf8') {
    const { Decoder } = await import(resp);
    const decoder = new Decoder({ onReply, encoding, as: asBuffer ? 'buffer' : 'string' });
    return (chunk) => decoder.write(chunk);
  },
  'redis-trib latin1': (asBuffer, context) => openers['redis-trib'](asBuffer, context, 'latin1'),
  'redis-parser'(returnBuffers) {
    const Parser = require('redis-parser');
    const parser = new Parser({ returnReply: onReply, returnError: onReply, returnBuffers });
    return (chunk) => parser.execute(chunk);
  },
  'node-redis': (asBuffer) => openLike(asBuffer, 'node_modules/@redis/client/dist/lib/RESP/decoder.js'),
  ioredis: (asBuffer) => openLike(asBuffer, 'node_modules/ioredis/built/resp/decoder.js'),
};

function openLike(asBuffer, file) {
  const { Decoder } = require(new URL(file, import.meta.url).pathname);
  const mapping = asBuffer ? { 36: Buffer, 43: Buffer } : {};
  const decoder = new Decoder({
    onReply,
    onErrorReply: onReply,
    onPush: onReply,
    getTypeMapping: () => mapping,
  });
  return (chunk) => decoder.write(chunk);
}

export async function prepare(candidate, row, context) {
  const asBuffer = row.endsWith(' as Buffers');
  const cut = row.replace(/ as (strings|Buffers)$/, '');
  const whole = cut.replace(', shredded', '');
  const { chunks, bytes } = chunksOf(whole, cut === whole ? 65_536 : 256);
  const write = await openers[candidate](asBuffer, context);
  return {
    run() {
      for (const chunk of chunks) write(chunk);
      return bytes / 1e6;
    },
    close: () => sink,
  };
}
