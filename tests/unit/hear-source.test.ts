import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hearSource } from '../../lib/move/hear-source.ts';
import { SharedLock } from '../../lib/move/shared-lock.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import {
  openScriptedEnds,
  type Script,
  type ScriptedOptions,
  SOURCE,
  TARGET,
} from '../helpers/scripted-ends.ts';
import { idOf, nodesText } from '../helpers/views.ts';

interface Given extends Omit<ScriptedOptions, 'script'> {
  /** What the target answers to CONFIG GET. @default 'yes' */
  readonly coverage?: 'yes' | 'no';
  /** Commands that the target refuses, by their first words. */
  readonly refused?: readonly string[];
  /** @default true */
  readonly isClaimed?: boolean;
}

/** What was sent while the target heard the source, and how that ended. */
async function hear({ coverage = 'yes', refused = [], isClaimed = true, ...given }: Given = {}) {
  let [isUnknown, isMet] = [false, false];
  const script: Script = (node, words): Reply | undefined => {
    const text = words.join(' ');
    if (node === SOURCE && text.startsWith('CLUSTER MEET')) isMet = true;
    if (node !== TARGET) return undefined;
    if (refused.some((start) => text.startsWith(start))) return new ReplyError('NOPERM no permissions');
    if (text.startsWith('CONFIG GET')) return [words[2] ?? '', coverage];
    if (text.startsWith('CLUSTER DELSLOTS')) isUnknown = true;
    if (text.startsWith('CLUSTER SETSLOT')) isUnknown = false;
    if (text !== 'CLUSTER NODES') return undefined;
    const isLeftOut = isUnknown && !(isMet && isClaimed);
    return Buffer.from(
      nodesText(TARGET, [
        { node: SOURCE, slots: isLeftOut ? '1-8191' : '0-8191' },
        { node: TARGET, slots: '8192-16383' },
      ]),
    );
  };
  const traits = { targetRemembersUnclaimed: true, ...given.traits };
  const { ends, sent } = openScriptedEnds({ ...given, script, traits });
  const error = await hearSource(ends, new SharedLock()).then(
    () => undefined,
    ({ code }) => code as string,
  );
  return { sent, error };
}

const COVERAGE = 'target CONFIG SET cluster-require-full-coverage';
const deleted = (slot: number) => `target CLUSTER DELSLOTS ${slot}`;
const MET = 'source CLUSTER MEET 127.0.0.1 7002';

describe('hearSource() of a server that remembers who did not claim a slot', () => {
  test('makes one slot unknown until the source has claimed it again', async () =>
    assert.deepEqual(await hear(), {
      sent: [`${COVERAGE} no`, deleted(0), MET, `${COVERAGE} yes`],
      error: undefined,
    }));

  test('changes no setting if the target serves without all slots anyway', async () =>
    assert.deepEqual(await hear({ coverage: 'no' }), { sent: [deleted(0), MET], error: undefined }));

  test('takes none that is open', async () => {
    const { sent } = await hear({ open: [[SOURCE, 0, 'migrating']] });
    assert.ok(sent.includes(deleted(1)), sent.join());
  });

  for (const [words, sent] of [
    ['CONFIG GET', []],
    ['CONFIG SET', [`${COVERAGE} no`]],
    ['CLUSTER DELSLOTS', [`${COVERAGE} no`, deleted(0), `${COVERAGE} yes`]],
  ] as const)
    test(`goes on without it if the user may not run ${words}`, async () =>
      assert.deepEqual(await hear({ refused: [words] }), { sent, error: undefined }));

  test('puts all back if the source does not claim it in time', async () =>
    assert.deepEqual(await hear({ isClaimed: false, options: { agreeTimeout: 50 } }), {
      sent: [
        `${COVERAGE} no`,
        deleted(0),
        MET,
        `target CLUSTER SETSLOT 0 NODE ${idOf(SOURCE)}`,
        `${COVERAGE} yes`,
      ],
      error: 'NOT_REACHED',
    }));

  test('does nothing on any other server', async () =>
    assert.deepEqual(await hear({ traits: { targetRemembersUnclaimed: false } }), {
      sent: [],
      error: undefined,
    }));
});
