import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatRanges } from '../../lib/model/slot.ts';
import { type ClusterView, mergeReports, type NodeReport, nodeById } from '../../lib/model/view.ts';
import { type Draft, type Plan, type Step, toPlan } from '../../lib/plan/plan.ts';
import type { PlanView } from '../../lib/plan/plan-view.ts';
import { advance, nodesAfter, projectionOf } from '../../lib/plan/projection.ts';
import { isMet, masterToCopy, planReplace, type Replacement } from '../../lib/plan/replace.ts';
import { standingOf } from '../../lib/plan/standing.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, reportOf } from '../helpers/views.ts';

/** A newcomer has the number of the node that it replaces, and this besides. */
const NEW = 100;
const numberOf = (id: string): number => Number.parseInt(id, 16);
const replacing = (old: number): number => NEW + old;

interface Scene {
  readonly lines: readonly Line[];
  /** Numbers of the nodes that leave, in the order in which they are named. */
  readonly leaving: readonly number[];
  /** By number of a node: its host. */
  readonly hosts: ReadonlyMap<number, string>;
}

/** Any cluster of masters and replicas on some hosts, and some of its nodes in any order. */
const scenes: fc.Arbitrary<Scene> = fc
  .record({
    replicas: fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 5 }),
    hosts: fc.array(fc.nat({ max: 3 }), { minLength: 20, maxLength: 20 }),
    isEmptyLast: fc.boolean(),
  })
  .chain(({ replicas, hosts, isEmptyLast }) => {
    const owners = replicas.length > 1 && isEmptyLast ? replicas.length - 1 : replicas.length;
    const share = Math.floor(16384 / owners);
    const lines: Line[] = replicas.map((_, index) => {
      const last = index === owners - 1 ? 16383 : (index + 1) * share - 1;
      return { node: index + 1, slots: index < owners ? `${index * share}-${last}` : '' };
    });
    for (const [index, count] of replicas.entries())
      for (let one = 0; one < count; one++)
        lines.push({ node: lines.length + 1, flags: 'slave', master: index + 1 });
    return fc
      .shuffledSubarray(
        lines.map(({ node }) => node),
        { minLength: 1 },
      )
      .map((leaving) => ({
        lines,
        leaving,
        hosts: new Map(lines.map(({ node }, index) => [node, `10.0.0.${hosts[index % hosts.length]}`])),
      }));
  });

/** The replacements of a scene, from what the nodes report, as an operation finds them. */
function replacementsIn(
  view: ClusterView,
  newcomers: ReadonlyMap<number, NodeReport>,
  leaving: readonly number[],
): Replacement[] {
  const byIds = new Set(leaving.map((old) => idOf(replacing(old))));
  return leaving.flatMap((old): Replacement[] => {
    const by = newcomers.get(replacing(old))?.myself;
    const node = nodeById(view, idOf(old));
    if (!by || !node) return [];
    const isSettled = isMet(view, by.id, { leaving: new Set(leaving.map(idOf)), byIds });
    return [{ node, by, isSettled, master: masterToCopy(view, node, by) }];
  });
}

const aloneNow = (node: number): NodeReport => reportOf(node, { lines: [{ node, epoch: 0 }], state: 'fail' });

function planOf(
  { lines, leaving, hosts }: Scene,
  batch = false,
): { readonly draft: Draft; readonly plan: Plan } {
  const agreed = agreedView(lines);
  const nodes = agreed.nodes.map((node) => ({
    ...node,
    address: { ...node.address, host: hosts.get(numberOf(node.id)) ?? '127.0.0.1' },
  }));
  const view = { ...agreed, nodes, seedId: '' };
  const newcomers = new Map(leaving.map((old) => [replacing(old), aloneNow(replacing(old))]));
  const replacements = replacementsIn(view, newcomers, leaving);
  const draft = planReplace(view, replacements, batch);
  return { draft, plan: toPlan(draft, [...nodes, ...replacements.map(({ by }) => by)]) };
}

/** Of each master, by its number: its slots, and how many replicas it has. */
function shapeOf(
  nodes: readonly {
    readonly id: string;
    readonly masterId?: string;
    readonly slots: Plan['before'][number]['slots'];
  }[],
  nameOf: (node: number) => number = (node) => node,
): Record<number, string> {
  const masters = nodes.filter(({ masterId }) => masterId === undefined);
  return Object.fromEntries(
    masters.map(({ id, slots }) => {
      const replicas = nodes.filter(({ masterId }) => masterId === id).map((one) => nameOf(numberOf(one.id)));
      return [nameOf(numberOf(id)), `${formatRanges(slots)} ${replicas.sort((a, b) => a - b).join()}`];
    }),
  );
}

/** What all say once so many steps of a plan are done. */
function sightAfter(plan: Plan, { leaving }: Scene, count: number): PlanView {
  const projection = projectionOf(plan.before);
  const done = plan.steps.slice(0, count);
  for (const step of done) advance(projection, step);
  const slots = new Map<string, number[]>();
  for (const [slot, owner] of projection.owners.entries()) {
    const own = slots.get(owner ?? '');
    if (own) own.push(slot);
    else if (owner !== undefined) slots.set(owner, [slot]);
  }
  const has = (type: Step['type'], id: string): boolean =>
    done.some((step) => step.type === type && 'node' in step && step.node.id === id);
  const isMet = done.some(({ type }) => type === 'meet');
  const all = plan.before.map(({ id }): Line => {
    const masterId = projection.masters.get(id) ?? null;
    const own = slots.get(id) ?? [];
    return {
      node: numberOf(id),
      epoch: own.length > 0 ? (numberOf(id) > NEW ? 50 : 10) : 0,
      ...(masterId === null ? {} : { flags: 'slave', master: numberOf(masterId) }),
      ...(own.length === 0 ? {} : { slots: rangesOf(own) }),
    };
  });
  const reports = new Map<string, NodeReport>();
  for (const { id } of plan.before) {
    if (has('reset', id)) continue;
    const observer = numberOf(id);
    const isOutside = observer > NEW && !isMet;
    const lines = all.filter(({ node }) => {
      if (node === observer) return true;
      if (isOutside || (node > NEW && !isMet)) return false;
      return !done.some(
        (step) =>
          step.type === 'forget' &&
          numberOf(step.node.id) === node &&
          step.by.some(({ id: by }) => by === id),
      );
    });
    reports.set(id, reportOf(observer, { lines }));
  }
  const [seed] = [...reports.values()].filter(({ myself }) => !has('forget', myself.id));
  assert.ok(seed);
  const view = mergeReports(seed.address, seed.myself.id, reports, new Map());
  const members = new Set(
    plan.before.flatMap(({ id }) => (has('forget', id) || (numberOf(id) > NEW && !isMet) ? [] : [id])),
  );
  const otherIds = new Map(
    leaving.flatMap((old) =>
      has('reset', idOf(old)) ? [[idOf(old), { id: idOf(old + 1000), isFresh: true }] as const] : [],
    ),
  );
  return { view, members, otherIds, keys: new Map(), reached: new Set(), copying: new Set() };
}

function rangesOf(slots: readonly number[]): string {
  const parts: string[] = [];
  for (let first = 0; first < slots.length; ) {
    let last = first;
    while (slots[last + 1] === (slots[last] ?? 0) + 1) last++;
    parts.push(`${slots[first]}-${slots[last]}`);
    first = last + 1;
  }
  return parts.join(' ');
}

describe('planReplace()', () => {
  test('leaves the same shape, with each node replaced, in whatever order they are named', () => {
    fc.assert(
      fc.property(scenes, fc.boolean(), (scene, batch) => {
        const { plan } = planOf(scene, batch);
        const nameOf = (node: number): number => (scene.leaving.includes(node) ? replacing(node) : node);
        const before = plan.before.filter(({ id }) => numberOf(id) < NEW);
        assert.deepEqual(shapeOf(nodesAfter(plan)), shapeOf(before, nameOf));
        const gone = plan.expect?.gone?.map(numberOf);
        assert.deepEqual(gone, scene.leaving);
        const members = new Set(nodesAfter(plan).map(({ id }) => id));
        assert.deepEqual(new Set(plan.expect?.members.map(({ id }) => id)), members);
        // What is expected is what the plan makes.
        const projection = projectionOf(plan.before);
        for (const step of plan.steps) advance(projection, step);
        for (const { id, masterId } of plan.expect?.replicas ?? [])
          assert.equal(projection.masters.get(id), masterId);
      }),
      { numRuns: 40 },
    );
  });

  test('gives the newcomer also those that follow a replica of the master that it replaces', () => {
    const lines: Line[] = [
      { node: 1, slots: '0-16383' },
      { node: 2, flags: 'slave', master: 1 },
      { node: 3, flags: 'slave', master: 2 },
    ];
    const { plan } = planOf({ lines, leaving: [1], hosts: new Map() });
    assert.deepEqual(shapeOf(nodesAfter(plan)), { [replacing(1)]: '0-16383 2,3' });
  });

  test('resets what an earlier run had all forget before anything else, and those that follow before whom they follow', () => {
    const view = agreedView([
      { node: 1, slots: '0-16383' },
      { node: 4, flags: 'slave', master: 1 },
    ]);
    const forgotten = [
      { node: 2, flags: 'slave', master: 1 },
      { node: 3, flags: 'slave', master: 2 },
    ].map((line): Replacement => {
      const by = nodeById(view, idOf(4));
      assert.ok(by);
      return { node: reportOf(line.node, { lines: [line] }).myself, by, isSettled: true, isForgotten: true };
    });
    const newcomer = aloneNow(replacing(1));
    const [master] = replacementsIn(view, new Map([[replacing(1), newcomer]]), [1]);
    assert.ok(master);
    const { steps } = planReplace({ ...view, seedId: '' }, [master, ...forgotten]);
    const resets = steps.flatMap((step) => (step.type === 'reset' ? [numberOf(step.node.id)] : []));
    assert.deepEqual(resets, [3, 2, 1]);
    assert.deepEqual(
      steps.slice(0, 3).map(({ type }) => type),
      ['reset', 'reset', 'meet'],
    );
  });

  test('copies at most one node of a host at a time, and forgets none before it is replaced', () => {
    fc.assert(
      fc.property(scenes, (scene) => {
        const { plan } = planOf(scene);
        let hosts: string[] = [];
        const projection = projectionOf(plan.before);
        for (const step of plan.steps) {
          const isCopy = step.type === 'replicate' && numberOf(step.replica.id) > NEW;
          if (isCopy && projection.masters.get(step.replica.id) === null) {
            const host = scene.hosts.get(numberOf(step.master.id)) ?? step.master.id;
            assert.ok(!hosts.includes(host), `${host} twice`);
            hosts.push(host);
          } else if (step.type !== 'replicate') hosts = [];
          if (step.type === 'forget' || step.type === 'reset') {
            const old = step.node.id;
            assert.ok(!projection.owners.includes(old), 'it owns no slot');
            const by = new Set(step.type === 'forget' ? step.by.map(({ id }) => id) : []);
            const followers = [...projection.masters].filter(([, master]) => master === old);
            assert.deepEqual(
              followers.filter(([id]) => by.has(id)),
              [],
            );
          }
          advance(projection, step);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('made again after any step, leads to the same end', () => {
    fc.assert(
      fc.property(scenes, fc.nat(), (scene, moment) => {
        const { plan } = planOf(scene);
        const count = moment % (plan.steps.length + 1);
        const { view, members } = sightAfter(plan, scene, count);
        const known = new Map([...view.reports].filter(([id]) => members.has(id)));
        const seen = mergeReports(view.seed, view.seedId, known, new Map());
        const newcomers = new Map([...view.reports].map(([id, report]) => [numberOf(id), report]));
        const replacements = replacementsIn(seen, newcomers, scene.leaving);
        const again = toPlan(planReplace(seen, replacements), [
          ...seen.nodes,
          ...replacements.flatMap(({ by }) => (nodeById(seen, by.id) ? [] : [by])),
        ]);
        assert.deepEqual(shapeOf(nodesAfter(again)), shapeOf(nodesAfter(plan)));
      }),
      { numRuns: 40 },
    );
  });
});

describe('standingOf() a plan that replaces nodes', () => {
  test('has no difference after any step, and those before it are done', () => {
    fc.assert(
      fc.property(scenes, fc.nat(), (scene, moment) => {
        const { plan } = planOf({ ...scene, hosts: new Map() });
        const count = moment % (plan.steps.length + 1);
        const { differences, left, done } = standingOf(plan, sightAfter(plan, scene, count));
        assert.deepEqual(differences, []);
        const rest = plan.steps.slice(count);
        for (const step of left) assert.ok(rest.includes(step), `after ${count}: ${JSON.stringify(step)}`);
        if (count === 0) assert.deepEqual([left.length, done], [plan.steps.length, []]);
        // Those that change something are left: a replica that follows a new master by itself is done.
        for (const step of rest)
          if (step.type !== 'replicate')
            assert.ok(left.includes(step), `after ${count}: ${JSON.stringify(step)}`);
      }),
      { numRuns: 40 },
    );
  });
});

describe('masterToCopy() of', () => {
  const lines: Line[] = [
    { node: 1, slots: '0-8000' },
    { node: 2, slots: '8001-16383' },
    { node: 3, flags: 'slave', master: 1 },
    { node: 4, flags: 'slave', master: 3 },
    { node: 5 },
    { node: 6, flags: 'master,fail', link: 'disconnected' },
    { node: 7, flags: 'slave,fail', link: 'disconnected', master: 2 },
    { node: 8, flags: 'slave', master: 2 },
    { node: 9, flags: 'slave', master: 1 },
  ];
  const view = agreedView(lines, [6, 7]);
  const of = (
    node: number,
    by = 99,
    mates: readonly number[] = [],
    chosen: readonly number[] = [],
  ): number | undefined => {
    const record = nodeById(view, idOf(node));
    assert.ok(record);
    const found = masterToCopy(view, record, { id: idOf(by) }, mates.map(idOf), chosen.map(idOf));
    return found && numberOf(found.id);
  };
  const table: readonly (readonly [string, number | undefined, number | undefined])[] = [
    ['a master with slots: itself', of(1), 1],
    ['a replica: its master', of(3), 1],
    ['a replica of a replica: the master at the end', of(4), 1],
    ['a master without slots: none', of(5), undefined],
    ['a dead replica: its master', of(7), 2],
    ['a dead master without slots: the one that an earlier run has made the newcomer follow', of(6, 8), 2],
    ['a dead master without slots: the one of its shard', of(6, 99, [2]), 2],
    ['a dead master without slots: the one with the fewest replicas that answer', of(6), 2],
    ['a dead master without slots: not the one that others copy', of(6, 99, [], [2, 2]), 1],
  ];
  for (const [what, found, expected] of table) test(what, () => assert.equal(found, expected));
});
