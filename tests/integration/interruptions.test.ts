// A sample of `npm run test:interruptions`, which tries every moment.

import assert from 'node:assert/strict';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { randomFrom } from '../faults/random.ts';
import { testSeed } from '../helpers/seed.ts';
import { type Case, cases } from '../interruptions/cases.ts';
import { events } from '../interruptions/events.ts';
import { openStage, type Stage } from '../interruptions/stage.ts';
import { tryOnce } from '../interruptions/trial.ts';

const STAGES = 4;
const seed = testSeed();

let stages: Stage[];
before(async () => {
  stages = await Promise.all(Array.from({ length: STAGES }, () => openStage()));
});
after(() => Promise.all(stages.map(({ bed }) => bed.close())));

/** Runs this on a free stage. */
async function onStage(work: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = stages.pop();
  assert.ok(stage, 'there is a stage for each running test');
  await work(stage).finally(() => stages.push(stage));
}

const kill = events.filter(({ name }) => name === 'kill')[0];

// Half of the commands, different ones for each seed, so that all are covered over the versions of servers.
const random = randomFrom(seed);
const left = [...cases];
const sample = Array.from({ length: Math.ceil(cases.length / 2) }, () =>
  left.splice(random.between(0, left.length - 1), 1),
).flat();

// Events that last until the command has ended, and make it wait as long as it may, are for the full run.
const quick = events.filter(({ name }) => ['old-conf', 'link', 'parted', 'cut-off'].includes(name));
const skip = process.platform !== 'linux' && 'needs loopback addresses of Linux';

describe('After an interruption, the same command', { concurrency: STAGES }, () => {
  const [other, event] = [random.pick(cases), random.pick(quick)];
  const write = random.between(1, other.writes);
  it(`finishes ${other.name} even if nodes were cut off or forgot the cluster`, {
    skip,
  }, async (context) => {
    const stage = await openStage(undefined, event.isOfNetwork);
    try {
      const options = { event, at: write, half: false, from: 'changes', seed } as const;
      const { problems, runs } = await tryOnce(stage, other, options);
      const said = runs.map(({ end, error }) => `${end} ${error?.message ?? ''}`).join('; ');
      context.diagnostic(`seed ${seed}, ${event.name} at write ${write}: ${said}`);
      assert.deepEqual(
        problems,
        [],
        `REDIS_TRIB_TEST_SEED=${seed}, ${event.name} at write ${write}: ${said}`,
      );
    } finally {
      await stage.bed.close();
    }
  });

  for (const one of sample) {
    const { at, half } = momentOf(one);
    it(`finishes ${one.name} after SIGKILL, with all keys`, (context) =>
      onStage(async (stage) => {
        assert.ok(kill);
        const { struck, end, again, problems, runs } = await tryOnce(stage, one, {
          event: kill,
          at,
          half,
          from: 'changes',
          seed,
        });
        context.diagnostic(
          `seed ${seed}, ${half ? 'half of ' : ''}write ${at}: ${struck ? end : 'done before'}, ${again} more runs`,
        );
        const said = runs.map(({ end, error }) => `${end} ${error?.message ?? ''}`);
        assert.deepEqual(problems, [], `REDIS_TRIB_TEST_SEED=${seed}: ${said.join('; ')}`);
      }));
  }
});

function momentOf({ writes }: Case): { at: number; half: boolean } {
  return { at: random.between(1, writes), half: random.chance(0.5) };
}
