import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { verdictOutcome } from '../../lib/cli/stop-view.ts';
import { stopJudge, stopTogether } from '../../lib/findings/stop-verdict.ts';
import type { ConnectedReplica, NodeDetails } from '../../lib/model/details.ts';
import type { ClusterView } from '../../lib/model/view.ts';
import { fc } from '../helpers/properties.ts';
import { type Answer, agreedView, detailsOf, idOf, type Line, portOf, viewOf } from '../helpers/views.ts';

interface Replica {
  readonly isDead: boolean;
  readonly link: 'up' | 'down' | 'copying';
  readonly behind: number;
  readonly isBarred: boolean;
}

interface Shard {
  readonly isDead: boolean;
  readonly hasSlots: boolean;
  readonly replicas: readonly Replica[];
}

/** A change of one node's report about another: it has no link to it, or takes it for a master. */
interface Mistake {
  readonly observer: number;
  readonly about: number;
  readonly kind: 'unlinked' | 'suspected' | 'master';
}

const OFFSET = 5_000_000;

/** Numbers of the masters from 1, then of the replicas, shard by shard. */
function worldOf(shards: readonly Shard[], errors: readonly Mistake[] = []) {
  const owning = shards.filter(({ hasSlots }) => hasSlots).length;
  const details = new Map<string, NodeDetails | Error>();
  const dead = new Set<number>();
  const replicas = new Map<number, Replica & { readonly master: number }>();
  const lines: Line[] = [];
  let [next, first, left] = [shards.length + 1, 0, owning];
  for (const [index, { isDead, hasSlots, replicas: own }] of shards.entries()) {
    const node = index + 1;
    const last = left === 1 ? 16383 : first + Math.floor((16384 - first) / left) - 1;
    const slots = hasSlots ? `${first}-${last}` : '';
    if (hasSlots) [first, left] = [last + 1, left - 1];
    lines.push({ node, slots, ...(isDead ? { flags: 'master,fail', link: 'disconnected' } : {}) });
    if (isDead) dead.add(node);
    const connected: ConnectedReplica[] = [];
    for (const replica of own) {
      const number = next++;
      replicas.set(number, { ...replica, master: node });
      if (replica.isDead) dead.add(number);
      const flags = [
        'slave',
        ...(replica.isDead ? ['fail'] : []),
        ...(replica.isBarred ? ['nofailover'] : []),
      ];
      lines.push({
        node: number,
        flags: flags.join(),
        master: node,
        epoch: node,
        ...(replica.isDead ? { link: 'disconnected' } : {}),
      });
      // The link to a dead master is down sooner or later.
      const status = isDead && replica.link === 'up' ? 'down' : replica.link;
      if (replica.isDead) continue;
      details.set(idOf(number), detailsOf({ offset: OFFSET - replica.behind, link: { status } }));
      if (status === 'up')
        connected.push({ host: '127.0.0.1', port: portOf(number), offset: 0, lagSeconds: 0 });
    }
    if (!isDead) details.set(idOf(node), detailsOf({ offset: OFFSET, replicas: connected }));
  }
  const all = lines.map(({ node }) => node);
  const living = all.filter((node) => !dead.has(node));
  const answers: Record<number, Answer> = {};
  for (const observer of living) {
    answers[observer] = {
      lines: lines.map((line) => {
        const wrong = errors.find(
          (one) => one.observer === observer && one.about === line.node && observer !== line.node,
        );
        if (!wrong) return line;
        if (wrong.kind === 'unlinked') return { ...line, link: 'disconnected' };
        if (wrong.kind === 'suspected') return { ...line, flags: `${line.flags ?? 'master'},fail?` };
        if (line.slots) return line;
        const { master: _, ...rest } = line;
        return { ...rest, flags: 'master' };
      }),
    };
  }
  return {
    shards,
    replicas,
    dead,
    all,
    living,
    details,
    view: living.length > 0 ? viewOf(answers) : undefined,
    errors,
  };
}

type World = ReturnType<typeof worldOf>;

/** What would come of it, from the world itself: who could vote, and for whom. */
function survives({ shards, replicas, dead, errors }: World, stopped: ReadonlySet<number>): boolean {
  const isGone = (node: number): boolean => stopped.has(node) || dead.has(node);
  const isOwner = (node: number): boolean => shards[node - 1]?.hasSlots === true;
  const sees = (observer: number, about: number): boolean =>
    !errors.some(
      (one) => one.observer === observer && one.about === about && !(one.kind === 'master' && isOwner(about)),
    );
  const owners = shards.flatMap(({ hasSlots }, index) => (hasSlots ? [index + 1] : []));
  const needed = Math.floor(owners.length / 2) + 1;
  const voting = owners.filter((node) => !isGone(node));
  if (owners.length === 0 || voting.length < needed) return false;
  return owners.every((owner) => {
    if (!isGone(owner)) return true;
    // A master that was dead before cannot say what its replicas lack.
    if (dead.has(owner)) return false;
    return [...replicas].some(([node, { master, link, behind, isBarred }]) => {
      if (master !== owner || isGone(node) || link !== 'up' || behind > 1024 * 1024 || isBarred) return false;
      return voting.filter((voter) => sees(voter, node) && sees(node, voter)).length >= needed;
    });
  });
}

const replica: fc.Arbitrary<Replica> = fc.record({
  isDead: fc.boolean().map((rare) => rare && false),
  link: fc.oneof(
    { weight: 5, arbitrary: fc.constant('up' as const) },
    { weight: 1, arbitrary: fc.constantFrom('down' as const, 'copying' as const) },
  ),
  behind: fc.constantFrom(0, 0, 500, 1024 * 1024, 2 * 1024 * 1024),
  isBarred: fc.integer({ min: 0, max: 9 }).map((rare) => rare === 0),
});
const shard: fc.Arbitrary<Shard> = fc.record({
  isDead: fc.integer({ min: 0, max: 14 }).map((rare) => rare === 0),
  hasSlots: fc.integer({ min: 0, max: 6 }).map((rare) => rare !== 0),
  replicas: fc.array(
    fc.tuple(replica, fc.integer({ min: 0, max: 9 })).map(([one, rare]) => ({ ...one, isDead: rare === 0 })),
    { maxLength: 2 },
  ),
});
const shards = fc
  .array(shard, { minLength: 1, maxLength: 5 })
  .filter(
    (all) =>
      all.some(({ hasSlots }) => hasSlots) && all.reduce((sum, one) => sum + 1 + one.replicas.length, 0) <= 8,
  );

function subsets(nodes: readonly number[]): number[][] {
  return Array.from({ length: 2 ** nodes.length }, (_, bits) => nodes.filter((_, at) => bits & (1 << at)));
}

const idsOf = (nodes: readonly number[]): Set<string> => new Set(nodes.map(idOf));
const judgeOf = (view: ClusterView, details: World['details']) => stopJudge(view, details);

describe('stopJudge()', () => {
  test('says yes for exactly the sets of nodes that a cluster survives, if all nodes agree', () => {
    let [yes, no] = [0, 0];
    fc.assert(
      fc.property(shards, (all) => {
        const world = worldOf(all);
        if (!world.view) return;
        const judge = judgeOf(world.view, world.details);
        for (const stopped of subsets(world.all)) {
          const verdict = judge(idsOf(stopped));
          const expected = survives(world, new Set(stopped));
          if (expected) yes += 1;
          else no += 1;
          assert.equal(
            verdict.ok,
            expected,
            `${stopped}: ${verdict.reasons.map(({ message }) => message).join(' / ')}`,
          );
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(yes > 100 && no > 100, `${yes} yes, ${no} no`);
  });

  test('says yes for no set that a cluster does not survive, if nodes see one another differently', () => {
    const error = fc.record({
      observer: fc.integer({ min: 1, max: 8 }),
      about: fc.integer({ min: 1, max: 8 }),
      kind: fc.constantFrom('unlinked' as const, 'suspected' as const, 'master' as const),
    });
    let yes = 0;
    fc.assert(
      fc.property(shards, fc.array(error, { maxLength: 5 }), (all, errors) => {
        const world = worldOf(all, errors);
        if (!world.view) return;
        const judge = judgeOf(world.view, world.details);
        for (const stopped of subsets(world.all)) {
          if (!judge(idsOf(stopped)).ok) continue;
          yes += 1;
          assert.ok(survives(world, new Set(stopped)), `${stopped}`);
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(yes > 100, `${yes} yes`);
  });

  test('says yes for every part of a set that may stop', () => {
    fc.assert(
      fc.property(shards, (all) => {
        const { view, details, all: nodes } = worldOf(all);
        if (!view) return;
        const judge = judgeOf(view, details);
        for (const stopped of subsets(nodes)) {
          if (!judge(idsOf(stopped)).ok) continue;
          for (const node of stopped)
            assert.ok(judge(idsOf(stopped.filter((one) => one !== node))).ok, `${stopped} without ${node}`);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('stopTogether()', () => {
  test('puts each node that may stop in a group that may, and no other', () => {
    fc.assert(
      fc.property(shards, (all) => {
        const { view, details, all: nodes } = worldOf(all);
        if (!view) return;
        const judge = judgeOf(view, details);
        const groups = stopTogether(
          judge,
          nodes.map((node) => idsOf([node])),
        );
        const grouped = groups.flat().map((at) => nodes[at] ?? 0);
        assert.deepEqual(grouped.toSorted(), nodes.filter((node) => judge(idsOf([node])).ok).toSorted());
        for (const group of groups) assert.ok(judge(idsOf(group.map((at) => nodes[at] ?? 0))).ok);
      }),
      { numRuns: 60 },
    );
  });
});

const healthy: Replica = { isDead: false, link: 'up', behind: 0, isBarred: false };
const three: Shard[] = [1, 2, 3].map(() => ({ isDead: false, hasSlots: true, replicas: [healthy] }));
const withReplica = (fields: Partial<Replica>): Shard[] => [
  { isDead: false, hasSlots: true, replicas: [{ ...healthy, ...fields }] },
  ...three.slice(1),
];

describe('Reasons of stopJudge()', () => {
  const kindsOf = ({ view, details }: World, stopped: readonly number[]): string[] => {
    assert.ok(view);
    return stopJudge(view, details)(idsOf(stopped)).reasons.map(({ kind }) => kind);
  };
  const table: readonly (readonly [
    what: string,
    world: World,
    stopped: readonly number[],
    kinds: readonly string[],
  ])[] = [
    ['one master with a replica', worldOf(three), [1], []],
    ['all replicas', worldOf(three), [4, 5, 6], []],
    ['a master and its only replica', worldOf(three), [1, 4], ['no-copy']],
    ['a master and the replica of another', worldOf(three), [1, 5], []],
    ['two of three masters', worldOf(three), [1, 2], ['no-majority', 'no-copy', 'no-copy']],
    ['a master whose replica is copying', worldOf(withReplica({ link: 'copying' })), [1], ['no-copy']],
    ['a master whose replica has no link', worldOf(withReplica({ link: 'down' })), [1], ['no-copy']],
    ['a master whose replica is far behind', worldOf(withReplica({ behind: 9_000_000 })), [1], ['no-copy']],
    ['a master whose replica does not take over', worldOf(withReplica({ isBarred: true })), [1], ['no-copy']],
    ['a master whose replica is dead', worldOf(withReplica({ isDead: true })), [1], ['no-copy']],
    ['a dead replica', worldOf(withReplica({ isDead: true })), [4], []],
    [
      'one of two masters',
      worldOf(three.slice(1)),
      [1],
      // A majority of two is two.
      ['no-majority', 'no-copy'],
    ],
    [
      'a node while another master is dead',
      worldOf([{ isDead: true, hasSlots: true, replicas: [healthy] }, ...three.slice(1)]),
      [5],
      ['no-copy'],
    ],
    [
      'a master whose replica reaches one voter only',
      worldOf(three, [{ observer: 4, about: 2, kind: 'unlinked' }]),
      [1],
      ['no-copy'],
    ],
    [
      'a master whose replica one voter takes for a master',
      worldOf(three, [{ observer: 3, about: 4, kind: 'master' }]),
      [1],
      ['no-copy'],
    ],
  ];
  for (const [what, world, stopped, kinds] of table)
    test(`for ${what}: ${kinds.join(', ') || 'none'}`, () =>
      assert.deepEqual(kindsOf(world, stopped), kinds));

  const lines: Line[] = [
    { node: 1, slots: '0-5000' },
    { node: 2, slots: '5001-10000' },
    { node: 3, slots: '10001-16383' },
    { node: 4, flags: 'slave', master: 1, epoch: 1 },
  ];
  const details = worldOf([
    { isDead: false, hasSlots: true, replicas: [healthy] },
    ...three.slice(1, 3).map((one) => ({ ...one, replicas: [] })),
  ]).details;
  const judged = (answers: Readonly<Record<number, Answer>>, stopped: readonly number[], own = details) =>
    stopJudge(viewOf(answers), own)(idsOf(stopped)).reasons.map(({ kind }) => kind);
  const saying = (of: (observer: number) => readonly Line[], state?: (observer: number) => 'ok' | 'fail') =>
    Object.fromEntries(
      [1, 2, 3, 4].map((node) => [node, { lines: of(node), ...(state ? { state: state(node) } : {}) }]),
    );

  test('no-copy, if the replica copies another server than its master', () => {
    const linkedTo = (port: number, replicationId: string): Map<string, NodeDetails | Error> => {
      const [own, master] = [details.get(idOf(4)), details.get(idOf(1))] as [NodeDetails, NodeDetails];
      const link = { status: 'up', asks: { host: '127.0.0.1', port } } as const;
      return new Map(details)
        .set(idOf(4), { ...own, link, replicationId })
        .set(idOf(1), { ...master, replicationId: 'own' });
    };
    const view = saying(() => lines);
    assert.deepEqual(judged(view, [1], linkedTo(portOf(9), 'other')), ['no-copy']);
    // With TLS, a replica may ask at a port that is not listed.
    assert.deepEqual(judged(view, [1], linkedTo(portOf(9), 'own')), []);
    assert.deepEqual(judged(view, [1], linkedTo(portOf(1), 'own')), []);
    // It has not noticed yet that the master that it copied is no more, and another server is in its place.
    assert.deepEqual(judged(view, [1], linkedTo(portOf(1), 'other')), ['no-copy']);
  });

  test('no-copy, if all that stays follows a replica, though it has all data', () => {
    const chained: Line[] = [...lines, { node: 5, flags: 'slave', master: 4, epoch: 1 }];
    const view = agreedView(chained);
    const all = new Map(details).set(idOf(5), details.get(idOf(4)) as NodeDetails);
    const judge = stopJudge(view, all);
    const [reason] = judge(idsOf([1, 4])).reasons;
    assert.deepEqual(
      [reason?.kind, reason?.nodes],
      ['no-copy', [1, 5].map((node) => `127.0.0.1:${portOf(node)}`)],
    );
    assert.equal(judge(idsOf([1])).ok, true);
    // Its master keeps another, also if that is not the node that it follows.
    assert.deepEqual(
      judge(idsOf([5])).nodes.map(({ others }) => others),
      [1],
    );
  });

  test('no-copy, if the master does not list the replica that believes it is connected', () => {
    const twins: Line[] = [...lines, { node: 5, flags: 'slave', master: 1, epoch: 1 }];
    const view = agreedView(twins);
    const replica = details.get(idOf(4)) as NodeDetails;
    const master = details.get(idOf(1)) as NodeDetails;
    const judgedWith = (entries: readonly (readonly [host: string, port: number])[]): string[] => {
      const replicas = entries.map(([host, port]) => ({ host, port, offset: 0, lagSeconds: 0 }));
      const all = new Map(details)
        .set(idOf(1), { ...master, replicas })
        .set(idOf(4), replica)
        .set(idOf(5), replica);
      // Only the second replica stays.
      return stopJudge(view, all)(idsOf([1, 4])).reasons.map(({ kind }) => kind);
    };
    assert.deepEqual(judgedWith([['127.0.0.1', portOf(4)]]), ['no-copy']);
    assert.deepEqual(
      judgedWith([
        ['127.0.0.1', portOf(4)],
        ['127.0.0.1', portOf(5)],
      ]),
      [],
    );
    // At addresses of another network, ports tell them apart, or their number.
    assert.deepEqual(judgedWith([['10.0.0.1', portOf(4)]]), ['no-copy']);
    assert.deepEqual(judgedWith([['10.0.0.1', portOf(5)]]), []);
    assert.deepEqual(
      judgedWith([
        ['10.0.0.1', 6379],
        ['10.0.0.2', 6379],
      ]),
      [],
    );
    // All nodes may have one port: the other replica at its own address is none of these.
    assert.deepEqual(
      judgedWith([
        ['127.0.0.1', portOf(4)],
        ['10.0.0.1', portOf(4)],
      ]),
      [],
    );
  });

  test('slot-open, for an end of a move; other nodes may stop', () => {
    const open = saying((observer) =>
      lines.map((line) =>
        observer === line.node && line.node === 1
          ? { ...line, slots: `${line.slots} [7->-${idOf(2)}]` }
          : line,
      ),
    );
    assert.deepEqual(judged(open, [1]), ['slot-open']);
    assert.deepEqual(judged(open, [4]), []);
  });

  test('nodes-disagree, unless the one that disagrees is what stops', () => {
    const unknown = saying((observer) => (observer === 4 ? lines.filter(({ node }) => node !== 3) : lines));
    assert.deepEqual(new Set(judged(unknown, [2])), new Set(['no-copy', 'nodes-disagree']));
    assert.deepEqual(judged(unknown, [4]), []);
    const owners = saying((observer) =>
      observer === 3
        ? lines.map((line) => (line.node === 2 ? { ...line, slots: '5002-10000' } : line))
        : lines,
    );
    assert.deepEqual(judged(owners, [4]), ['nodes-disagree']);
  });

  test('state-fail, for a master that stays', () => {
    const failing = saying(
      () => lines,
      (observer) => (observer === 2 ? 'fail' : 'ok'),
    );
    assert.deepEqual(judged(failing, [4]), ['state-fail']);
  });

  test('slots-uncovered, for slots of nobody', () => {
    const gap = saying(() =>
      lines.map((line) => (line.node === 3 ? { ...line, slots: '10001-16382' } : line)),
    );
    assert.deepEqual(judged(gap, [4]), ['slots-uncovered']);
  });

  test('no-copy, for a replica that its master does not have connected', () => {
    const own = new Map([...details, [idOf(1), detailsOf({ offset: OFFSET })]]);
    assert.deepEqual(
      judged(
        saying(() => lines),
        [1],
      ),
      [],
    );
    assert.deepEqual(
      judged(
        saying(() => lines),
        [1],
        own,
      ),
      ['no-copy'],
    );
    // A port that the cluster does not know is the replica's own.
    const elsewhere = { host: '10.0.0.1', port: 1, offset: 0, lagSeconds: 0 };
    const natted = new Map([...details, [idOf(1), detailsOf({ offset: OFFSET, replicas: [elsewhere] })]]);
    assert.deepEqual(
      judged(
        saying(() => lines),
        [1],
        natted,
      ),
      [],
    );
  });

  test('no-copy, for a node that refuses INFO, or is loading', () => {
    for (const of of [1, 4]) {
      const own = new Map([...details, [idOf(of), new Error('NOPERM')]]);
      assert.deepEqual(
        judged(
          saying(() => lines),
          [1],
          own,
        ),
        ['no-copy'],
      );
    }
    const loading = { percent: 5, etaSeconds: 1 };
    const reads = new Map([...details, [idOf(2), detailsOf({ loading })]]);
    assert.deepEqual(
      judged(
        saying(() => lines),
        [4],
        reads,
      ),
      ['no-copy'],
    );
  });
});

describe('verdictOutcome()', () => {
  test('answers in the first word, and says why and what may stop', () => {
    const { view, details } = worldOf(three);
    assert.ok(view);
    const judge = stopJudge(view, details);
    const yes = verdictOutcome({ ...judge(idsOf([1, 5])), together: [] });
    assert.equal(yes.ok, true);
    assert.equal(
      yes.text,
      [
        'Yes, these 2 nodes may stop together',
        '  127.0.0.1:7001  master of 0-5460: 127.0.0.1:7004, 0 bytes behind, can take over',
        '  127.0.0.1:7005  replica: its master keeps no other that could take over',
        '  2 of 3 masters stay: enough to vote, which takes 2',
      ].join('\n'),
    );
    const no = verdictOutcome({ ...judge(idsOf([1, 2])), together: [['a', 'b'], ['c']] });
    assert.equal(no.ok, false);
    assert.match(
      no.text,
      /^No, these 2 nodes may not stop together\n {2}1 of 3 masters would be left to vote, and a failover takes 2\n/,
    );
    assert.match(no.text, /\n {4}a b\n {4}c$/);
  });
});
