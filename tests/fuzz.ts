// Feeds random bytes to every parser of server replies: `npm run test:fuzz [-- --seconds N] [--seed N] [--target NAME]`.
// The bytes are made by changing valid ones a little, and some of the results are changed further.
import process from 'node:process';
import { parseArgs } from 'node:util';
import { type Random, randomFrom } from './faults/random.ts';
import { type Target, targets } from './fuzz/targets.ts';
import { chooseSeed } from './helpers/seed.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    target: { type: 'string' },
  },
});
const seed = chooseSeed(values.seed);
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0) {
  console.error(`No target "${values.target}": choose from ${targets.map(({ name }) => name).join('; ')}`);
  process.exit(2);
}

const WORDS = [
  '\r\n',
  '\r',
  '\n',
  '$',
  '*',
  '+',
  '-',
  ':',
  '0',
  '-1',
  '$-1\r\n',
  '*0\r\n',
  '99999999999',
  '16384',
  ' ',
  ',',
  '@',
  '[',
  ']',
  '->-',
  '-<-',
  '\0',
  '\x1b',
  '\x9b',
  '\xff',
  '=',
  'myself',
  '$5\r\n',
  '*1\r\n',
];
const LONGEST = 4000;
const MOST_KEPT = 500;
/** Anything that takes longer than this for its length is a fault of its own. */
const SLOWEST_MS = 1500;

function changed(bytes: Uint8Array, others: readonly Buffer[], random: Random): Buffer<ArrayBuffer> {
  const at = random.between(0, bytes.length);
  const [head, tail] = [Buffer.from(bytes.subarray(0, at)), Buffer.from(bytes.subarray(at))];
  const length = random.between(1, random.chance(0.8) ? 8 : 200);
  switch (random.between(0, 6)) {
    case 0:
      return Buffer.concat([head, Buffer.from([random.between(0, 255)]), tail.subarray(1)]);
    case 1:
      return Buffer.concat([head, tail.subarray(length)]);
    case 2:
      return Buffer.concat([head, Buffer.from(random.pick(WORDS), 'latin1'), tail]);
    case 3:
      return Buffer.concat([head, Buffer.from(random.pick(WORDS), 'latin1'), tail.subarray(length)]);
    case 4:
      return Buffer.concat([
        head,
        ...Array.from({ length: random.between(1, 20) }, () => tail.subarray(0, length)),
        tail,
      ]);
    case 5: {
      const other = random.pick(others);
      return Buffer.concat([head, other.subarray(random.between(0, other.length))]);
    }
    default:
      return head;
  }
}

/** Runs a target until the time is up. Resolves to how often, or throws with the bytes that broke it. */
function fuzz(target: Target, seconds: number, random: Random): number {
  const kept = target.seeds.map((text) => Buffer.from(text, 'latin1'));
  const until = performance.now() + 1000 * seconds;
  let runs = 0;
  while (performance.now() < until) {
    let bytes = Buffer.from(random.pick(kept));
    for (let times = random.between(1, 6); times > 0; times--)
      bytes = changed(bytes, kept, random).subarray(0, LONGEST);
    const started = performance.now();
    try {
      target.run(bytes);
    } catch (error) {
      throw new Error(`${target.name} does not stand ${JSON.stringify(bytes.toString('latin1'))}`, {
        cause: error,
      });
    }
    const elapsedMs = performance.now() - started;
    if (elapsedMs > SLOWEST_MS)
      throw new Error(
        `${target.name} took ${Math.round(elapsedMs)} ms for ${JSON.stringify(bytes.toString('latin1'))}`,
      );
    runs += 1;
    if (random.chance(0.02))
      kept[kept.length < MOST_KEPT ? kept.length : random.between(target.seeds.length, kept.length - 1)] =
        Buffer.from(bytes);
  }
  return runs;
}

console.log(`seed ${seed}`);
for (const [index, target] of chosen.entries()) {
  try {
    const runs = fuzz(target, Number(values.seconds) / chosen.length, randomFrom(seed + index));
    console.log(`ok   ${target.name}: ${runs} runs`);
  } catch (error) {
    console.log(
      `FAIL ${error instanceof Error ? `${error.message}\n     ${String((error.cause as Error | undefined)?.stack ?? '')}` : error}`,
    );
    console.log(`     again: npm run test:fuzz -- --seed ${seed} --seconds ${values.seconds}`);
    process.exitCode = 1;
  }
}
