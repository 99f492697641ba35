import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bed, openBed } from '../bed/index.ts';
import { type Compared, comparable, runScenario, scenario, toolFor } from '../helpers/compat-scenario.ts';

let bed: Bed;
let compared: Compared[];
before(async () => {
  bed = await openBed();
  const tool = toolFor(bed);
  assert.ok(tool, `the command line tool of ${bed.server.name} is installed`);
  compared = await runScenario(bed, tool);
});
after(() => bed.close());

/** Exit codes that differ from redis-cli's, which say nothing there. */
const OURS: Readonly<Record<string, number>> = {};

/** Lines without what we word differently, and why. */
function alike(lines: readonly string[]): string[] {
  return (
    lines
      // The node takes a new id, so that it can come back at once.
      .map((line) => line.replace('RESET HARD', 'RESET SOFT'))
      // We do not mention functions on servers before 7.0, which have none.
      .filter((line) => !line.includes('FUNCTION') && !line.includes('functions'))
  );
}

describe('With --cluster, on the same cluster as redis-cli,', () => {
  for (const [index, { title }] of scenario.entries()) {
    test(`${title} prints the same, exits with the same code and leaves the same slots`, () => {
      const { ours, theirs, layouts } = compared[index] as Compared;
      assert.deepEqual(alike(comparable(ours.stdout)), alike(comparable(theirs.stdout)));
      assert.equal(ours.code, OURS[title] ?? theirs.code, ours.stderr);
      assert.deepEqual(layouts[0], layouts[1]);
      if (ours.code === 0) assert.equal(ours.stderr, '');
      else assert.notEqual(ours.stderr + ours.stdout, '');
    });
  }
});
