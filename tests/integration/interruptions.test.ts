// A sample of `npm run test:interruptions`, which tries every moment.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { randomFrom } from '../faults/random.ts';
import { chooseSeed } from '../helpers/seed.ts';
import { type Case, cases } from '../interruptions/cases.ts';
import { events } from '../interruptions/events.ts';
import { openStage, type Stage } from '../interruptions/stage.ts';
import { tryOnce } from '../interruptions/trial.ts';

const STAGES = 4;
const seed = chooseSeed();

let stages: Stage[];
before(async () => {
  stages = await Promise.all(Array.from({ length: STAGES }, () => openStage()));
});
after(() => Promise.all(stages.map(({ bed }) => bed.close())));

/** Runs this on a stage that nobody uses. */
async function onStage(work: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = stages.pop();
  assert.ok(stage, 'there is a stage for each test that runs');
  await work(stage).finally(() => stages.push(stage));
}

const kill = events.filter(({ name }) => name === 'kill')[0];

// Half of the commands, others for each seed: with a server of each version all have their turn.
const random = randomFrom(seed);
const left = [...cases];
const sample = Array.from({ length: Math.ceil(cases.length / 2) }, () =>
  left.splice(random.between(0, left.length - 1), 1),
).flat();

describe('the same command after SIGKILL', { concurrency: STAGES }, () => {
  for (const one of sample) {
    const { at, half } = momentOf(one);
    it(`finishes ${one.name}, with all keys`, (context) =>
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
