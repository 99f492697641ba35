import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  ClusterError,
  ConnectionError,
  isAbort,
  ReplyError,
  type Resumable,
  retold,
} from '../../lib/errors.ts';
import type { ClusterEvent, Stopped } from '../../lib/events.ts';
import type { parseAddress } from '../../lib/model/address.ts';
import type { Next } from '../../lib/model/next.ts';
import { Account } from '../../lib/nodes/account.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import type { Context } from '../../lib/nodes/context.ts';
import { reportStop } from '../../lib/nodes/stopping.ts';
import type { Plan } from '../../lib/plan/plan.ts';
import { settingsOf } from '../../lib/settings.ts';
import { agreedView, idOf } from '../helpers/views.ts';

const [source, target] = [1, 2].map((node) => ({ id: idOf(node), address: `127.0.0.1:700${node}` })) as [
  { id: string; address: string },
  { id: string; address: string },
];

/** The plan that moves slots 0 to 9 from node 1 to node 2. */
const plan: Plan = {
  version: 1,
  operation: 'reshard',
  before: [],
  masters: [source, target],
  steps: [{ type: 'move-slots', source, target, slots: [[0, 9]] }],
};

const view = agreedView([
  { node: 1, slots: '0-99' },
  { node: 2, slots: '100-199' },
  { node: 3, slots: '200-16383 [300-<-abc]' },
  { node: 4, flags: 'slave', master: 1 },
]);

interface Scene {
  /** What each node reports about its own slots when it is asked at the end. By default node 3 has none open, and no other answers. */
  readonly says?: Readonly<Record<number, string | null>>;
  /** Slots that the operation has counted as moved; undefined if no plan was begun. */
  readonly moved?: number;
  readonly onceMoved?: Exclude<Resumable, 'no'>;
  readonly movedBefore?: number;
  /** The node on which a plan before this one has closed a slot. */
  readonly before?: number;
  readonly hasLooked?: boolean;
  /** Keys that it has copied without a plan. */
  readonly copied?: number;
  readonly onlyLooks?: boolean;
  readonly dryRun?: boolean;
  /** The signal has aborted, for this reason, before the failure or after it. */
  readonly abort?: { readonly reason: unknown; readonly when: 'before' | 'after' };
  /** Replicas that were asked to take over, and those of them that did. */
  readonly asked?: readonly string[];
  readonly answered?: readonly string[];
}

async function stop(failure: unknown, scene: Scene, isAborted = false) {
  const { says, moved, onceMoved = 'same-call', movedBefore = 0, before, hasLooked = true } = scene;
  const said: Scene['says'] = says && { 3: '200-16383', ...says };
  const account = new Account();
  if (hasLooked) account.view = view;
  account.onceMoved = onceMoved;
  account.onlyLooks = scene.onlyLooks ?? false;
  account.copied(scene.copied ?? 0, 0);
  for (const node of scene.asked ?? []) account.asked(node);
  for (const node of scene.answered ?? []) account.answered(node);
  const counted = (slots: number) => () => ({ slots, keys: 7 * slots, bytes: 0 });
  if (movedBefore > 0) account.begin({ ...plan, steps: [] }, counted(movedBefore));
  if (before !== undefined) {
    const node = { id: idOf(before), address: `127.0.0.1:${7000 + before}` };
    const steps = [{ type: 'close-slots', node, owner: target, slots: [[7, 7]] }] as const;
    account.begin({ ...plan, steps }, counted(0));
  }
  if (moved !== undefined) account.begin(plan, counted(moved));
  const events: ClusterEvent[] = [];
  const connections = {
    askSoon: async ({ port }: ReturnType<typeof parseAddress>): Promise<string> => {
      const slots = said?.[port - 7000] ?? null;
      if (slots === null) throw new Error('no answer');
      return `${idOf(port - 7000)} 127.0.0.1:${port}@1 myself,master - 0 0 1 connected ${slots}\n`;
    },
  } as unknown as Connections;
  const { abort = { reason: failure, when: 'before' } } = scene;
  const signal = isAborted ? AbortSignal.abort(abort.reason) : undefined;
  account.abortedAt = abort.when === 'before' ? 0 : performance.now() + 1;
  const context: Context = {
    connections,
    settings: settingsOf({ dryRun: scene.dryRun ?? false }),
    options: {},
    emit: (event) => events.push(event),
    signal,
    account,
  };
  const thrown = await reportStop(context, failure);
  const [stopped, ...more] = events.filter((event): event is Stopped => event.type === 'stopped');
  assert.deepEqual(more, []);
  return { thrown, stopped };
}

const failed = (next?: readonly Next[], resumable: Resumable = 'same-call') =>
  new ClusterError('MIGRATE_FAILED', 'no', { resumable, ...(next ? { next } : {}) });

/** The error says the same as the event. */
function assertSame({ thrown, stopped }: Awaited<ReturnType<typeof stop>>): void {
  assert.ok(thrown instanceof ClusterError);
  const { openSlots, resumable, next, moved } = thrown;
  const { failovers, silent, ...said } = stopped ?? {};
  assert.deepEqual({ openSlots, resumable, next, moved, type: 'stopped' }, said);
}

describe('what an operation says at its end', () => {
  const rows: readonly [what: string, scene: Scene, wanted: Partial<Stopped>][] = [
    [
      'nothing moved: the same call, whatever it would be later',
      { moved: 0, onceMoved: 'with-resume', says: { 1: '0-99', 2: '100-199' } },
      { resumable: 'same-call', next: [{ do: 'retry' }], openSlots: [] },
    ],
    [
      'some moved of slots by name: with resume',
      { moved: 3, onceMoved: 'with-resume', says: { 1: '3-99', 2: '0-2 100-199' } },
      { resumable: 'with-resume', next: [{ do: 'resume' }], openSlots: [] },
    ],
    [
      'slots that were found open have moved: with resume',
      { moved: 0, movedBefore: 1, onceMoved: 'with-resume', says: { 1: '0-99', 2: '100-199' } },
      { resumable: 'with-resume', next: [{ do: 'resume' }] },
    ],
    [
      'some moved of a number of slots: the rest, without the one that is open',
      {
        moved: 3,
        onceMoved: 'rest',
        says: { 1: `3-99 [3->-${target.id}]`, 2: `0-2 100-199 [3-<-${source.id}]` },
      },
      { resumable: 'rest', next: [{ do: 'retry-rest', slots: 6 }], openSlots: [3] },
    ],
    [
      'a slot whose last answer was lost counts by what its target says',
      { moved: 3, onceMoved: 'rest', says: { 2: '0-3 100-199' } },
      { resumable: 'rest', next: [{ do: 'retry-rest', slots: 6 }] },
    ],
    [
      'all of the rest is open: fix',
      { moved: 9, onceMoved: 'rest', says: { 1: `9-99 [9->-${target.id}]`, 2: '0-8 100-199' } },
      { resumable: 'rest', next: [{ do: 'fix', cluster: '127.0.0.1:7001' }], openSlots: [9] },
    ],
    [
      'slots that somebody else has open are named',
      { moved: 3, says: { 1: '3-99', 2: '0-2 100-199', 3: '200-16383 [300-<-abc]' } },
      { resumable: 'same-call', openSlots: [300] },
    ],
    [
      'a failover that was asked for and not seen may still happen',
      { moved: 0, says: { 1: '0-99', 2: '100-199' }, asked: ['a:1', 'b:1'], answered: ['a:1'] },
      { resumable: 'same-call', failovers: ['b:1'] },
    ],
    [
      'no node answers any more: what was counted',
      { moved: 3, onceMoved: 'rest' },
      {
        resumable: 'rest',
        next: [{ do: 'retry-rest', slots: 7 }],
        openSlots: [300],
        silent: ['127.0.0.1:7001', '127.0.0.1:7002', '127.0.0.1:7003'],
      },
    ],
    [
      'a node that does not answer keeps what it had open, and is named',
      { moved: 3, says: { 1: '3-99', 2: '0-2 100-199', 3: null } },
      { openSlots: [300], silent: ['127.0.0.1:7003'] },
    ],
    [
      'what a plan before this one has left open on other nodes is named',
      { moved: 3, says: { 1: '3-99', 2: '0-2', 3: '200-16383', 9: '[7-<-abc]' }, before: 9 },
      { openSlots: [7], silent: [] },
    ],
  ];
  for (const [what, scene, wanted] of rows) {
    test(what, async () => {
      const reason = new Error('stop');
      const aborted = await stop(reason, scene, true);
      assertSame(aborted);
      assert.ok(aborted.thrown instanceof ClusterError);
      const { name, code, cause } = aborted.thrown;
      assert.deepEqual([name, code, cause === reason], ['AbortError', 'ABORTED', true]);
      const error = await stop(failed(), scene);
      const reply = await stop(new ReplyError('ERR no'), scene);
      assertSame(error);
      const [{ failovers, silent }, also] = [error.stopped ?? {}, aborted.stopped];
      assert.deepEqual([failovers, silent], [also?.failovers, also?.silent]);
      for (const { stopped } of [aborted, error, reply]) {
        for (const [field, value] of Object.entries(wanted))
          assert.deepEqual(stopped?.[field as keyof Stopped], value, field);
      }
    });
  }

  test('an error keeps its code, its stack and its own advice, of which a retry is the one that continues', async () => {
    const cause = new Error('why');
    const details = { cause, hint: 'So', address: 'a:1', keys: ['k'], openSlots: [12] };
    const next: readonly Next[] = [
      { do: 'check', cluster: 'a:1' },
      { do: 'retry', when: 'healthy' },
    ];
    const first = new ClusterError('KEY_CONFLICT', 'no', { ...details, next });
    const { thrown } = await stop(first, { moved: 3, onceMoved: 'rest', says: { 2: '0-2' } });
    assert.ok(thrown instanceof ClusterError);
    const { code, message, stack } = thrown;
    assert.deepEqual([code, message, stack], ['KEY_CONFLICT', 'no', first.stack]);
    assert.deepEqual([thrown.cause, thrown.hint, thrown.address, thrown.keys], [cause, 'So', 'a:1', ['k']]);
    assert.deepEqual(thrown.openSlots, [12]);
    assert.deepEqual(thrown.next, [
      { do: 'check', cluster: 'a:1' },
      { do: 'retry-rest', slots: 7, when: 'healthy' },
    ]);
    assert.deepEqual(thrown.moved, { slots: 3, planned: 10, keys: 21, bytes: 0 });
  });

  test('a slot that is moved in another way is none of the rest', async () => {
    const act: Next = { do: 'migrate-slots', slots: [[5, 5]], when: 'earlier-move' };
    const { stopped } = await stop(failed([act]), { moved: 3, onceMoved: 'rest', says: { 2: '0-2' } });
    assert.deepEqual(stopped?.next, [
      act,
      { do: 'retry-rest', slots: 6, when: 'after-that' },
      { do: 'retry-rest', slots: 7 },
    ]);
  });

  test('nothing continues what is done, or was not begun', async () => {
    const scene: Scene = { moved: 10, says: { 2: '0-9' } };
    const { thrown } = await stop(failed([], 'no'), scene);
    assert.ok(thrown instanceof ClusterError);
    assert.deepEqual([thrown.resumable, thrown.next, thrown.moved.slots], ['no', [], 10]);
    const refused = failed([], 'no');
    assert.deepEqual(await stop(refused, {}), { thrown: refused, stopped: undefined });
  });

  test('a replica that took over from a master since is asked for what it has open', async () => {
    const reason = new Error('stop');
    const { stopped } = await stop(reason, { says: { 2: '', 4: '[5-<-abc]' } }, true);
    assert.deepEqual([stopped?.openSlots, stopped?.silent], [[5], ['127.0.0.1:7001']]);
  });

  test('before a plan was begun the slots that were found open are named, and nothing where nobody had looked', async () => {
    const reason = new Error('stop');
    const { stopped } = await stop(reason, { says: { 1: '', 2: '', 3: '[300-<-abc]' } }, true);
    assert.deepEqual([stopped?.openSlots, stopped?.resumable], [[300], 'same-call']);
    const unseen = await stop(reason, { hasLooked: false }, true);
    assert.deepEqual(unseen, { thrown: reason, stopped: undefined });
  });

  test('an aborted look and an aborted dry run reject with the reason itself', async () => {
    const reason = new Error('stop');
    const looked = await stop(reason, { onlyLooks: true }, true);
    assert.equal(looked.thrown, reason);
    assert.ok(looked.stopped);
    assert.deepEqual(await stop(reason, { dryRun: true }, true), { thrown: reason, stopped: undefined });
  });

  test('what fails after the signal has aborted is told as its abort, what failed before it is not', async () => {
    const cut = new ConnectionError('no reply', { code: 'TIMEOUT', address: 'a:1' });
    const known = new ClusterError('MIGRATE_FAILED', 'no', {
      ...{ cause: cut, openSlots: [12], keys: ['k'], hint: 'So' },
      resumable: 'same-call',
    });
    const reason = new Error('stop');
    const scene: Scene = { moved: 3, says: { 2: '0-2' } };
    for (const failure of [cut, new ReplyError('IOERR no'), known]) {
      const { thrown } = await stop(failure, { ...scene, abort: { reason, when: 'before' } }, true);
      assert.ok(thrown instanceof ClusterError);
      const { code, cause, moved, message } = thrown;
      assert.deepEqual([code, cause, moved.slots], ['ABORTED', reason, 3]);
      assert.ok(message.endsWith(failure.message), message);
      if (failure === known)
        assert.deepEqual([thrown.openSlots, thrown.keys, thrown.hint], [[12], ['k'], 'So']);
      const first = await stop(failure, { ...scene, abort: { reason, when: 'after' } }, true);
      if (failure === known) assert.equal((first.thrown as ClusterError).code, 'MIGRATE_FAILED');
      else assert.equal(first.thrown, failure);
    }
    // What an operation within this one has said of its abort is kept, also if this one has nothing to add.
    const within = new ClusterError('ABORTED', 'Aborted: 2 of 3', { cause: reason });
    assert.equal((await stop(within, { abort: { reason, when: 'before' } }, true)).thrown, within);
    // A mistake in the program is one at any time.
    const mistake = new TypeError('x is undefined');
    const { thrown } = await stop(mistake, { ...scene, abort: { reason, when: 'before' } }, true);
    assert.equal(thrown, mistake);
    const looked = { onlyLooks: true, abort: { reason, when: 'before' } } as const;
    assert.equal((await stop(cut, looked, true)).thrown, reason);
    // An error that is told again, or caused by another, was noticed when the first was.
    assert.equal(retold(known, { openSlots: [1] }).noticedAt, cut.noticedAt);
  });

  test('a ClusterError for which a call is aborted keeps its code', async () => {
    const aborted = await stop(failed([], 'same-call'), { moved: 3, says: { 2: '0-2' } }, true);
    assert.ok(aborted.thrown instanceof ClusterError);
    assert.deepEqual([aborted.thrown.code, aborted.thrown.moved.slots], ['MIGRATE_FAILED', 3]);
  });

  test('an aborted call is known by the reason, and by the error that has it as its cause', () => {
    const reason = new Error('stop');
    const signal = AbortSignal.abort(reason);
    const told = new ClusterError('ABORTED', 'Aborted: nothing moved', { cause: reason });
    for (const error of [reason, told]) {
      assert.equal(isAbort(error, signal), true);
      assert.equal(isAbort(error, AbortSignal.abort(new Error('stop'))), false);
      assert.equal(isAbort(error, new AbortController().signal), false);
      assert.equal(isAbort(error, undefined), false);
    }
    assert.equal(isAbort(new ClusterError('MIGRATE_FAILED', 'no', { cause: reason }), signal), false);
  });

  const words: readonly [scene: Scene, message: string][] = [
    [{ says: { 1: '0-99', 2: '100-199' } }, 'Aborted: nothing moved'],
    [{ moved: 3, says: { 1: '3-99', 2: '0-2' } }, 'Aborted: 3 of 10 slots moved, with 21 keys'],
    [
      { moved: 3, says: { 1: `3-99 [3->-${target.id}]`, 2: `0-2 [3-<-${source.id}]`, 3: null } },
      'Aborted: 3 of 10 slots moved, with 21 keys; slots 3 300 are open; 127.0.0.1:7003 did not answer',
    ],
    [{ copied: 1, says: { 1: '', 2: '' } }, 'Aborted: 1 key copied'],
    [{ before: 3, says: { 1: '', 2: '' } }, 'Aborted: 0 of 1 steps done'],
    [{ says: { 1: '', 2: '' }, asked: ['a:1'] }, 'Aborted: nothing moved; failover to a:1 may still happen'],
  ];
  for (const [scene, message] of words)
    test(message, async () => {
      const { thrown } = await stop(new Error('stop'), scene, true);
      assert.equal((thrown as Error).message, message);
    });
});
