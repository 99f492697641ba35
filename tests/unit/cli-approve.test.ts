import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { approver } from '../../lib/cli/approve.ts';
import { findCommand } from '../../lib/cli/commands.ts';
import { describeError } from '../../lib/cli/error-view.ts';
import type { Io } from '../../lib/cli/io.ts';
import { ProgressView } from '../../lib/cli/progress.ts';
import type { Plan } from '../../lib/plan/plan.ts';

const plan: Plan = { version: 1, operation: 'rebalance', before: [], masters: [], steps: [] };
const context = {
  interrupted: false,
  password: undefined,
  typed: { dialect: 'native', values: {} },
} as const;

/** What a person sees who answers so: the decision, or the text of the error. */
async function answered(answer: string | undefined): Promise<boolean | string> {
  let shown = '';
  const io: Io = {
    stdout: () => {},
    stderr: (text) => {
      shown += text;
    },
    env: {},
    isTerminal: () => true,
    columns: () => 80,
    askSecret: () => Promise.reject(new Error('Not asked')),
    canAsk: () => true,
    ask: () => Promise.resolve(answer),
    signal: new AbortController().signal,
  };
  const command = findCommand('rebalance');
  assert.ok(command);
  const approve = approver(command, {}, io, new ProgressView(io));
  assert.ok(approve);
  return Promise.resolve(approve(plan)).catch((error) => shown + describeError(error, context));
}

describe('A question before a change', () => {
  test('is answered by yes or no, in any case and with blanks', async () => {
    for (const yes of ['yes', 'y', ' YES ', 'Y']) assert.equal(await answered(yes), true, yes);
    for (const no of ['no', 'n', '', 'ye', 'yes!']) assert.equal(await answered(no), false, no);
  });

  test('is left by Ctrl-D, which says just that, on a line of its own', async () => {
    assert.equal(
      await answered(undefined),
      '\nThe input ended before the question was answered: nothing was changed\n',
    );
  });
});
