/**
 * Another client of a node, in a process of its own. From `start` until it is asked to report a span of time, it sends PING and GET
 * alternately every millisecond, whether or not the last was answered, so that a stall counts for as long as it lasts.
 */
import * as net from 'node:net';
import { constants, setPriority } from 'node:os';
import { nowMs } from './clock.mjs';

const { key, ...place } = JSON.parse(process.argv[2]);
const commands = ['*1\r\n$4\r\nPING\r\n', `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`];
try {
  // This measures the server, not how long this process waits for the processor.
  setPriority(constants.priority.PRIORITY_HIGH);
} catch {
  // Only root may do that.
}

let sent = [];
let latencies = [];
let timer;
const socket = net.connect({ ...place, noDelay: true });

let rest = '';
socket.setEncoding('latin1');
socket.on('data', (chunk) => {
  const now = nowMs();
  rest += chunk;
  // A status, an error, or a value without line ends.
  for (let match = /^(?:[+:-]|\$-1)[^\n]*\n|^\$\d+\r\n[^\n]*\n/.exec(rest); match; ) {
    latencies.push(now - sent[latencies.length]);
    rest = rest.slice(match[0].length);
    match = /^(?:[+:-]|\$-1)[^\n]*\n|^\$\d+\r\n[^\n]*\n/.exec(rest);
  }
});
socket.on('error', () => process.exit(1));
socket.once('connect', () => process.send('ready'));
process.on('disconnect', () => process.exit());

function start() {
  timer = setInterval(() => {
    socket.write(commands[sent.length % 2]);
    sent.push(nowMs());
  }, 1);
}

async function stop({ from, to }) {
  clearInterval(timer);
  while (latencies.length < sent.length) await new Promise((resolve) => setTimeout(resolve, 1));
  const inside = latencies.filter((_, index) => sent[index] >= from && sent[index] <= to);
  sent = [];
  latencies = [];
  return inside;
}

process.on('message', async (message) => {
  if (message === 'start') start();
  else process.send(await stop(message));
});
