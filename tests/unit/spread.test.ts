import assert from 'node:assert/strict';
import process from 'node:process';
import { describe, test } from 'node:test';
import type { NodeRecord } from '../../lib/model/node.ts';
import {
  type PlacedNode,
  type Shard,
  shardsIn as shardsOf,
  sharedPlace,
} from '../../lib/model/replica-places.ts';
import { createShares } from '../../lib/model/slot.ts';
import type { ClusterView } from '../../lib/model/view.ts';
import { invert } from '../../lib/plan/inverse.ts';
import { readPlan } from '../../lib/plan/parse.ts';
import { type Draft, type Step, toPlan } from '../../lib/plan/plan.ts';
import type { PlanView } from '../../lib/plan/plan-view.ts';
import { followingReplicas, planSpread, type SpreadRequest } from '../../lib/plan/spread.ts';
import { standingOf } from '../../lib/plan/standing.ts';
import { randomFrom } from '../faults/random.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, detailsOf, idOf, type Line } from '../helpers/views.ts';

/** Where nodes are: `host` and `zone` as numbers, 0 for an unknown zone. */
interface Spot {
  readonly host: number;
  readonly zone: number;
  readonly isReady?: boolean;
}

interface Layout {
  readonly view: ClusterView;
  readonly request: SpreadRequest;
}

const shardsIn = (view: ClusterView, { zones, ready }: SpreadRequest): Shard[] =>
  shardsOf(view, zones, ready);

/** Shards of nodes, the master of each first. Nodes are numbered in turn. */
function layoutOf(shards: readonly (readonly Spot[])[], more: Partial<SpreadRequest> = {}): Layout {
  const shares = createShares(shards.length);
  const [lines, hosts, zones, ready] = [
    [] as Line[],
    new Map<string, string>(),
    new Map<string, string>(),
    new Set<string>(),
  ];
  for (const [index, spots] of shards.entries()) {
    const master = lines.length + 1;
    for (const [at, { host, zone, isReady = true }] of spots.entries()) {
      const node = lines.length + 1;
      const [first = 0, last = 0] = shares[index] ?? [];
      lines.push(at === 0 ? { node, slots: `${first}-${last}` } : { node, flags: 'slave', master });
      hosts.set(idOf(node), `10.0.0.${host}`);
      if (zone > 0) zones.set(idOf(node), `z${zone}`);
      if (at > 0 && isReady) ready.add(idOf(node));
    }
  }
  const move = (record: NodeRecord): NodeRecord => ({
    ...record,
    address: { ...record.address, host: hosts.get(record.id) ?? '' },
  });
  const view = agreedView(lines);
  const reports = new Map(
    [...view.reports].map(([id, report]) => [
      id,
      { ...report, myself: move(report.myself), records: report.records.map(move) },
    ]),
  );
  return { view: { ...view, reports, nodes: view.nodes.map(move) }, request: { zones, ready, ...more } };
}

/** The shards after the steps of a plan, whose nodes are all ready. Fails for a step that is not possible. */
function carriedOut({ view, request }: Layout, { steps }: Pick<Draft, 'steps'>, mayBeAlone = false): Shard[] {
  const shards = shardsIn(view, request).map(({ master, replicas }) => ({ master, replicas: [...replicas] }));
  for (const step of steps) {
    if (step.type === 'failover') {
      const shard = shards.find(({ master }) => master.id === step.master.id);
      const replica = shard?.replicas.find(({ id }) => id === step.replica.id);
      assert.ok(shard && replica?.isReady, 'only a replica that is in sync takes over');
      shard.replicas = shard.replicas.filter((one) => one !== replica);
      shard.replicas.push({ ...shard.master, isReady: true });
      shard.master = replica;
    } else if (step.type === 'replicate') {
      const from = shards.find(({ replicas }) => replicas.some(({ id }) => id === step.replica.id));
      const to = shards.find(({ master }) => master.id === step.master.id);
      const replica = from?.replicas.find(({ id }) => id === step.replica.id);
      const kept = from?.replicas.find(({ id }) => id === step.kept?.id);
      assert.ok(from && to && from !== to && replica, 'a replica changes masters');
      assert.ok(mayBeAlone || (kept?.isReady && kept !== replica), 'another replica stays that is in sync');
      from.replicas = from.replicas.filter((one) => one !== replica);
      to.replicas.push({ ...replica, isReady: true });
    } else assert.fail(`a plan has a step ${step.type}`);
  }
  return shards;
}

/** The layout of these shards, for a second plan. */
function layoutAfter({ view, request }: Layout, shards: readonly Shard[]): Layout {
  const masterOf = new Map(
    shards.flatMap(({ master, replicas }) => replicas.map(({ id }) => [id, master.id])),
  );
  const former = shardsIn(view, request);
  const slotsOf = new Map(
    shards.map(({ master }, index) => [
      master.id,
      view.nodes.find(({ id }) => id === former[index]?.master.id)?.slots ?? [],
    ]),
  );
  const swap = (record: NodeRecord): NodeRecord => {
    const masterId = masterOf.get(record.id) ?? null;
    const role = masterId === null ? ('master' as const) : ('replica' as const);
    return {
      ...record,
      role,
      masterId,
      flags: [masterId === null ? 'master' : 'slave'],
      slots: slotsOf.get(record.id) ?? [],
    };
  };
  const reports = new Map(
    [...view.reports].map(([id, report]) => [
      id,
      { ...report, myself: swap(report.myself), records: report.records.map(swap) },
    ]),
  );
  const ready = new Set(
    shards.flatMap(({ replicas }) => replicas.filter(({ isReady }) => isReady).map(({ id }) => id)),
  );
  return { view: { ...view, reports, nodes: view.nodes.map(swap) }, request: { ...request, ready } };
}

function counts<Of>(items: readonly Of[], by: (item: Of) => string): number[] {
  const found = new Map<string, number>();
  for (const item of items) found.set(by(item), (found.get(by(item)) ?? 0) + 1);
  return [...found.values()];
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
const squares = (numbers: readonly number[]): number => sum(numbers.map((one) => one * one));

/** How bad masters are spread: most important first. */
function badness(masters: readonly PlacedNode[], isZoned: boolean): number[] {
  const zoneOf = ({ zone, host }: PlacedNode): string => (isZoned && zone === '' ? `host ${host}` : zone);
  const hosts = counts(masters, (node) => `${zoneOf(node)} ${node.host}`);
  const zones = counts(masters, zoneOf);
  const tooMany = (own: number): number => Math.max(0, 2 * own - masters.length + 1);
  return [sum(hosts.map(tooMany)), sum(zones.map(tooMany)), squares(zones), squares(hosts)];
}

const besideMaster = (shards: readonly Shard[]): number =>
  sum(shards.map(({ master, replicas }) => sum(replicas.map((one) => sharedPlace(one, master)))));

const replicaCounts = (shards: readonly Shard[]): number[] => shards.map(({ replicas }) => replicas.length);

/** Negative if the first list is the smaller one. */
function compare(one: readonly number[], other: readonly number[]): number {
  for (const [index, value] of one.entries()) {
    const difference = value - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const say = (step: Step): string =>
  step.type === 'failover' || step.type === 'replicate'
    ? `${step.type} ${Number.parseInt(step.replica.id, 16)} ${Number.parseInt(step.master.id, 16)}`
    : step.type;

const failoversIn = ({ steps }: Draft): number => steps.filter(({ type }) => type === 'failover').length;

/** What is best of all choices of masters: how they are spread, failovers, and replicas beside their master then. */
function best(shards: readonly Shard[], isZoned: boolean): number[] {
  let found: number[] | undefined;
  const choose = (index: number, masters: readonly PlacedNode[]): void => {
    const shard = shards[index];
    if (!shard) {
      const failovers = masters.filter((master, at) => master !== shards[at]?.master).length;
      const beside = sum(
        shards.map(({ master, replicas }, at) =>
          sum(
            [master, ...replicas].map((one) =>
              one === masters[at] ? 0 : sharedPlace(one, masters[at] ?? one),
            ),
          ),
        ),
      );
      const value = [...badness(masters, isZoned), failovers, beside];
      if (!found || compare(value, found) < 0) found = value;
      return;
    }
    for (const node of [shard.master, ...shard.replicas.filter(({ isReady }) => isReady)])
      choose(index + 1, [...masters, node]);
  };
  choose(0, []);
  return found ?? [];
}

const spot = (hosts: number, zones: number) =>
  fc.record({
    host: fc.integer({ min: 1, max: hosts }),
    zone: fc.integer({ min: 1, max: zones }),
    isReady: fc.boolean(),
  });

/** Zones of nodes: none, a zone for each host, one host without a zone, or hosts that are in several zones. */
const zoning = fc.constantFrom('none', 'by-host', 'some', 'across');
type Zoning = 'none' | 'by-host' | 'some' | 'across';

function zoned(spots: readonly (readonly Spot[])[], how: Zoning, zones: number): Spot[][] {
  const zoneOf = ({ host, zone }: Spot): number => {
    if (how === 'none' || (how === 'some' && host === 1)) return 0;
    return how === 'across' ? zone : 1 + (host % zones);
  };
  return spots.map((shard) => shard.map((one) => ({ ...one, zone: zoneOf(one) })));
}

const smallLayouts = fc
  .tuple(
    fc.array(fc.array(spot(4, 3), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 }),
    zoning,
  )
  .map(([spots, how]) => zoned(spots, how, 3));

const largeLayouts = fc
  .tuple(
    fc.array(fc.array(spot(12, 4), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 30 }),
    zoning,
  )
  .map(([spots, how]) => zoned(spots, how, 4));

describe('planSpread() spreads masters', () => {
  test('as well as can be by the fewest failovers, compared with every choice', () => {
    let withFailovers = 0;
    fc.assert(
      fc.property(smallLayouts, (spots) => {
        const layout = layoutOf(spots, { keepReplicas: true });
        const { view, request } = layout;
        const draft = planSpread(view, request);
        const shards = shardsIn(view, request);
        const isZoned = request.zones.size > 0;
        const after = carriedOut(layout, draft);
        const reached = [
          ...badness(
            after.map(({ master }) => master),
            isZoned,
          ),
          failoversIn(draft),
          besideMaster(after),
        ];
        assert.deepEqual(reached, best(shards, isZoned));
        withFailovers += failoversIn(draft) > 0 ? 1 : 0;
      }),
      { numRuns: 200 },
    );
    assert.ok(withFailovers > 20, `${withFailovers} layouts had failovers`);
  });

  test('takes no replica from a master that needs it to take writes', () => {
    let [moves, fewer] = [0, 0];
    fc.assert(
      fc.property(largeLayouts, fc.integer({ min: 2, max: 3 }), (spots, keep) => {
        const layout = layoutOf(spots);
        const { view, request } = layout;
        const draft = planSpread(view, { ...request, keep });
        for (const [index, step] of draft.steps.entries()) {
          if (step.type !== 'replicate') continue;
          const shards = carriedOut(layout, { steps: draft.steps.slice(0, index) });
          const from = shards.find(({ replicas }) => replicas.some(({ id }) => id === step.replica.id));
          const left = from?.replicas.filter(({ id, isReady }) => isReady && id !== step.replica.id) ?? [];
          assert.ok(left.length >= keep, `${left.length} of ${keep} stay`);
          moves++;
        }
        fewer += planSpread(view, request).steps.length - draft.steps.length;
      }),
      { numRuns: 100 },
    );
    assert.ok(moves > 0 && fewer > 0, `${moves} moves, ${fewer} fewer`);
  });

  /** A plan's shards, with the same nodes for the next. */
  const following = (layout: Layout): Layout =>
    layoutAfter(layout, carriedOut(layout, planSpread(layout.view, layout.request)));
  const stepsFor = ({ view, request }: Layout): string[] => planSpread(view, request).steps.map(say);

  test('never worse than before, and comes to an end', () => {
    let [failovers, moves, again] = [0, 0, 0];
    fc.assert(
      fc.property(fc.oneof(smallLayouts, largeLayouts), (spots) => {
        const layout = layoutOf(spots);
        const { view, request } = layout;
        const draft = planSpread(view, request);
        const [before, after] = [shardsIn(view, request), carriedOut(layout, draft)];
        const isZoned = request.zones.size > 0;
        const masters = (shards: readonly Shard[]): PlacedNode[] => shards.map(({ master }) => master);
        assert.ok(compare(badness(masters(after), isZoned), badness(masters(before), isZoned)) <= 0);
        const led = carriedOut(layout, planSpread(view, { ...request, keepReplicas: true }));
        // Replicas that have moved may let masters be spread better, at this price.
        if (compare(badness(masters(after), isZoned), badness(masters(led), isZoned)) === 0)
          assert.ok(besideMaster(after) <= besideMaster(led), 'replicas are moved away from their masters');
        assert.ok(squares(replicaCounts(after)) <= squares(replicaCounts(before)), 'numbers stay as even');
        failovers += failoversIn(draft);
        moves += draft.steps.length - failoversIn(draft);
        const second = layoutAfter(layout, after);
        if (stepsFor(second).length === 0) return;
        again++;
        assert.deepEqual(stepsFor(following(second)), [], 'the third plan has no steps');
      }),
      { numRuns: 200 },
    );
    assert.ok(failovers > 50 && moves > 50, `${failovers} failovers, ${moves} moves`);
    assert.ok(again <= 3, `${again} second plans had steps`);
  });

  test('in one plan, if all are in sync and each master has as many replicas', () => {
    const layouts = fc
      .tuple(fc.integer({ min: 2, max: 4 }), fc.integer({ min: 1, max: 30 }))
      .chain(([nodes, shards]) =>
        fc.tuple(
          fc.array(fc.array(spot(12, 4), { minLength: nodes, maxLength: nodes }), {
            minLength: shards,
            maxLength: shards,
          }),
          zoning,
        ),
      )
      .map(([spots, how]) =>
        zoned(spots, how, 4).map((shard) => shard.map((one) => ({ ...one, isReady: true }))),
      );
    fc.assert(
      fc.property(layouts, (spots) => {
        const layout = layoutOf(spots);
        assert.deepEqual(stepsFor(following(layout)), [], stepsFor(layout).join('; '));
      }),
      { numRuns: 100 },
    );
  });

  test('so that nodes say how many steps of a plan are done, and rollback undoes them', () => {
    const layouts = fc
      .tuple(
        fc.array(fc.array(spot(6, 3), { minLength: 1, maxLength: 3 }), { minLength: 3, maxLength: 8 }),
        zoning,
      )
      .map(([spots, how]) => zoned(spots, how, 3));
    fc.assert(
      fc.property(layouts, (spots) => {
        const layout = layoutOf(spots);
        const plan = readPlan(
          JSON.parse(JSON.stringify(toPlan(planSpread(layout.view, layout.request), layout.view.nodes))),
        );
        const seenAfter = (steps: readonly Step[]): PlanView => {
          const { view } = layoutAfter(layout, carriedOut(layout, { ...plan, steps }));
          const members = new Set(view.nodes.map(({ id }) => id));
          return {
            ...{ view, members, otherIds: new Map(), keys: new Map() },
            ...{ reached: new Set(), copying: new Set() },
          };
        };
        for (const count of [...plan.steps.keys(), plan.steps.length]) {
          const [done, left] = [plan.steps.slice(0, count), plan.steps.slice(count)];
          assert.deepEqual(standingOf(plan, seenAfter(done)), { differences: [], left, done });
        }
        const undone = invert(plan);
        const masterOf = (shards: readonly Shard[]): string[] => shards.map(({ master }) => master.id).sort();
        const [before, after] = [shardsIn(layout.view, layout.request), carriedOut(layout, plan)];
        const back = layoutAfter(layout, after);
        assert.deepEqual(masterOf(carriedOut(back, undone, true)), masterOf(before));
      }),
      { numRuns: 100 },
    );
  });

  test('of 500 nodes in little time', () => {
    const random = randomFrom(1);
    for (const [shards, replicas] of [
      [250, 1],
      [167, 2],
      [100, 4],
    ] as const) {
      const spots = Array.from({ length: shards }, () =>
        Array.from({ length: replicas + 1 }, () => {
          const host = random.between(1, 60);
          return { host, zone: 1 + (host % 3) };
        }),
      );
      const { view, request } = layoutOf(spots);
      const started = process.cpuUsage();
      const { steps } = planSpread(view, request);
      const { user } = process.cpuUsage(started);
      assert.ok(steps.length > 50);
      // A fifth of it on an idle machine.
      assert.ok(user / 1000 < 1000, `${user / 1000} ms of processor time`);
    }
  });
});

describe('followingReplicas()', () => {
  test('finds one whose master has become a replica, whatever its link', () => {
    const view = agreedView([
      { node: 1, flags: 'slave', master: 3 },
      { node: 2, flags: 'slave', master: 1 },
      { node: 3, slots: '0-16383' },
    ]);
    const [first, second, third] = view.nodes.map(({ id, address }) => ({ id, ...address }));
    assert.ok(first && second && third);
    const online = ({ host, port }: { host: string; port: number }) => ({
      host,
      port,
      offset: 0,
      lagSeconds: 0,
    });
    const details = new Map([
      [first.id, detailsOf({ link: { status: 'up' }, replicas: [online(second)] })],
      [second.id, detailsOf({ link: { status: 'up' } })],
      [third.id, detailsOf({ replicas: [online(first)] })],
    ]);
    const { living, late } = followingReplicas(view, details);
    assert.deepEqual(
      living.map(({ id }) => id),
      [first.id, second.id],
    );
    assert.deepEqual(
      late.map(({ id }) => id),
      [second.id],
    );
  });
});
