// A cluster on this machine that grows and shrinks under writes, interrupted once and killed once: `npm run demo`.
import process from 'node:process';
import { messageOf } from '../lib/errors.ts';
import { execute } from '../lib/index.ts';
import { countSlots } from '../lib/model/node.ts';
import { type Bed, openBed, type ServerNode } from './bed/index.ts';
import { load, lostOf } from './demo/keys.ts';
import { ctrlC, endTool, kill9, trib } from './demo/tool.ts';
import { Writer } from './demo/writer.ts';
import { bePatient, openSlotsAt, recordsOf } from './helpers/clusters.ts';

const KEYS = 100_000;
/** Makes a move of a quarter of the keys take six seconds, so that the middle of it is seen on a busy machine, too. */
const BRAKE = ['--max-keys-per-second', '4000'];

const started = performance.now();

function heading(text: string): void {
  console.log(`\n# ${text}`);
}

async function slotsOf(node: ServerNode): Promise<number> {
  const own = (await recordsOf(node)).find(({ flags }) => flags.includes('myself'));
  return own ? countSlots(own) : 0;
}

async function story(bed: Bed): Promise<void> {
  const [first, second, third, fourth] = (await bed.start(4)) as [
    ServerNode,
    ServerNode,
    ServerNode,
    ServerNode,
  ];
  const [a, b, c, d] = [first.address, second.address, third.address, fourth.address];
  heading(
    `Four servers run on this machine (${bed.server.kind} ${bed.server.version}). Three become a cluster`,
  );
  await trib(['create', a, b, c, '--yes']);
  await bePatient([first, second, third]);

  heading(`It gets ${number(KEYS)} keys, and a client keeps writing: order:1, order:2, …`);
  const keys = new Map(
    Array.from({ length: KEYS }, (_, index) => [`user:${index}`, `${index}`.padEnd(100, 'x')]),
  );
  await load(a, keys);
  const writer = new Writer(first, second, third);

  heading('A fourth master joins: slots and keys move to it, 4,000 keys a second. In the middle: Ctrl-C');
  await trib(['join', a, d, ...BRAKE], {
    ends: [130],
    strike: ctrlC(async () => (await slotsOf(fourth)) > 0),
  });
  await bePatient([fourth]);
  heading('The same command finishes it');
  await trib(['join', a, d, ...BRAKE]);
  await trib(['list', a, '--slot-map']);

  heading('The fourth leaves again, and gives its slots to the others. In the middle: kill -9');
  const middle = async () => (await slotsOf(fourth)) < 3000;
  await trib(['quit', d, ...BRAKE], {
    ends: ['SIGKILL'],
    strike: kill9(middle, async () => (await openSlotsAt([fourth])).length > 0),
  });
  heading('What that leaves behind');
  await trib(['check', a], { ends: [0, 1] });
  heading('The same command finishes it');
  await trib(['quit', d, ...BRAKE]);
  await trib(['check', a]);

  heading('What the client felt');
  const { half, p99, slowest, longestSilence } = await writer.stop();
  const written = writer.acknowledged;
  console.log(
    `${number(written.size)} writes, all acknowledged: half of them within ${ms(half)}, 99 % within ${ms(p99)}, the slowest in ${ms(slowest)}`,
  );
  console.log(`Longest silence between two acknowledged writes: ${ms(longestSilence)}`);

  heading('Is every key still there?');
  const all = new Map([...keys, ...written]);
  const lost = await lostOf(a, all);
  if (lost.length > 0)
    throw new Error(`${lost.length} keys are lost or changed: ${lost.slice(0, 5).join(' ')} …`);
  const sizes = await execute(a, ['DBSIZE'], { mastersOnly: true });
  const held = sizes.reduce((sum, { result }) => sum + Number(result), 0);
  if (held !== all.size) throw new Error(`The masters hold ${held} keys, not ${all.size}`);
  console.log(
    `${number(KEYS)} + ${number(written.size)} = ${number(all.size)} keys, each read back with its value; the masters hold ${number(held)}: none lost, none twice`,
  );
}

function number(value: number): string {
  return value.toLocaleString('en');
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

const bed = await openBed();
let isStopped = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    isStopped = true;
    endTool();
    await bed.close();
    console.log('\nStopped: the servers have ended, and their files are removed');
    process.exit(130);
  });
}
try {
  await story(bed);
} catch (error) {
  if (!isStopped) console.error(`\nThe demo FAILED: ${messageOf(error)}`);
  process.exitCode = 1;
}
if (!isStopped) {
  await bed.close();
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  heading(
    `${process.exitCode ? 'Ended' : 'Done'} after ${seconds} s; the servers have ended, and their files are removed`,
  );
}
