// Looks for samples that break a property, with new seeds until the time is over: `npm run test:explore [-- --seconds 60] [--seed N]`.
// Prints what it finds, short, with the command that repeats it, and exits with 1 then.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { inParallel } from '../lib/nodes/parallel.ts';
import { chooseSeed } from './helpers/seed.ts';
import { runTestFile } from './helpers/test-file.ts';

const AT_ONCE = 2;

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } },
});
const seconds = Number(values.seconds);
if (!(seconds > 0)) throw new Error(`Not a number of seconds: "${values.seconds}"`);
const firstSeed = chooseSeed(values.seed);

execFileSync(process.execPath, ['tests/build-tests.mjs'], { stdio: 'inherit' });
const names = readdirSync('tests/unit').filter((name) =>
  readFileSync(join('tests/unit', name), 'utf8').includes('helpers/properties.ts'),
);
const deadline = performance.now() + seconds * 1000;
let [passed, failed] = [0, 0];

/** Each file once with each seed. */
function* rounds(): Generator<{ name: string; seed: number }> {
  for (let seed = firstSeed; ; seed++) for (const name of names) yield { name, seed };
}

const ahead = rounds();
await inParallel(Array.from({ length: AT_ONCE }), async () => {
  while (performance.now() < deadline && failed === 0) {
    const next = ahead.next();
    if (next.done) return;
    const { name, seed } = next.value;
    const env = { ...process.env, REDIS_TRIB_TEST_SEED: `${seed}` };
    const outcome = await runTestFile(join('dist-tests/unit', name.replace('.ts', '.js')), env);
    passed += outcome.passed;
    failed += outcome.failed;
    if (outcome.isOk) continue;
    const said =
      /Property failed[\s\S]*?Repeat it with.*/.exec(outcome.output)?.[0] ?? outcome.output.slice(-3000);
    console.log(`✖ ${name}: ${said}\nRepeat all of it with: npm run test:explore -- --seed=${seed}`);
    failed = Math.max(1, failed);
  }
});
console.log(`explored from seed ${firstSeed}: ${passed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;
