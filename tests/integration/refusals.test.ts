// A sample of `npm run test:interruptions -- --event NOPERM …`: a node refuses one of the commands sent to it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { randomFrom } from '../faults/random.ts';
import { testSeed } from '../helpers/seed.ts';
import { cases } from '../interruptions/cases.ts';
import { type Event, events } from '../interruptions/events.ts';
import { drawCommand } from '../interruptions/replies.ts';
import { openStage, type Stage } from '../interruptions/stage.ts';
import { tryOnce } from '../interruptions/trial.ts';

const STAGES = 2;
const SAMPLE = 4;
const seed = testSeed();

// Refusals that are retried for long are for the full run.
const isQuick = ({ refusing }: Event): boolean =>
  refusing !== undefined &&
  (!refusing.isAlways || ['NOAUTH', 'NOPERM', 'MISCONF', 'OOM'].includes(refusing.refusal));

const stages: Stage[] = [];
before(async () => {
  stages.push(...(await Promise.all(Array.from({ length: STAGES }, () => openStage()))));
});
after(() => Promise.all(stages.map(({ bed }) => bed.close())));

describe('A refused command', { concurrency: STAGES }, () => {
  const random = randomFrom(seed);
  const left = [...cases];
  for (let count = 0; count < SAMPLE; count++) {
    const [one] = left.splice(random.between(0, left.length - 1), 1);
    const event = random.pick(events.filter(isQuick));
    const from = random.chance(0.5) ? 'start' : 'changes';
    if (!one) break;
    const at = drawCommand(random, one.writes);
    it(`ends in time with an error, and ${one.name} succeeds when it is run again`, async (context) => {
      const stage = stages.pop();
      assert.ok(stage, 'there is a stage for each running test');
      const options = { event, at, half: false, from, seed } as const;
      const trial = await tryOnce(stage, one, options).finally(() => stages.push(stage));
      const said = trial.runs.map(({ end, error, args }) => `${args.at(-1)}: ${end} ${error?.message ?? ''}`);
      const what = `REDIS_TRIB_TEST_SEED=${seed}, ${event.name} at command ${at} from ${from}: ${said.join('; ')}`;
      context.diagnostic(what);
      assert.deepEqual(trial.problems, [], what);
    });
  }
});
