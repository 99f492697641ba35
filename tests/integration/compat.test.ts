import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bed, openBed } from '../bed/index.ts';
import { type Compared, comparable, runScenario, scenario, toolFor } from '../helpers/compat-scenario.ts';

let bed: Bed;
let compared: Compared[];
before(async () => {
  bed = await openBed();
  const tool = toolFor(bed);
  assert.ok(tool, `the command line tool of ${bed.server.name} is there to compare with`);
  compared = await runScenario(bed, tool);
});
after(() => bed.close());

/** Exit codes where redis-cli's do not tell. */
const OURS: Readonly<Record<string, number>> = {};

/** What is worded otherwise, and why. */
function alike(lines: readonly string[]): string[] {
  return (
    lines
      // The node takes a new id, so that it can come back at once.
      .map((line) => line.replace('RESET HARD', 'RESET SOFT'))
      // Of servers before 7.0, which have no functions, nothing is told.
      .filter((line) => !line.includes('FUNCTION') && !line.includes('functions'))
  );
}

describe('in the spelling of redis-cli, on a cluster like its own,', () => {
  for (const [index, { title }] of scenario.entries()) {
    test(`${title} prints the same, ends the same and leaves the same slots`, () => {
      const { ours, theirs, layouts } = compared[index] as Compared;
      assert.deepEqual(alike(comparable(ours.stdout)), alike(comparable(theirs.stdout)));
      assert.equal(ours.code, OURS[title] ?? theirs.code, ours.stderr);
      assert.deepEqual(layouts[0], layouts[1]);
      if (ours.code === 0) assert.equal(ours.stderr, '');
      else assert.notEqual(ours.stderr + ours.stdout, '');
    });
  }
});
