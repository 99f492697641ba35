import assert from 'node:assert/strict';
import process from 'node:process';
import { describe, test } from 'node:test';
import { fillIn, runner, splitWords } from '../../lib/cli/exec.ts';
import { formatRanges, toRanges } from '../../lib/model/slot.ts';
import { versionTest } from '../../lib/nodes/server.ts';
import { type Plan, type StepOf, toPlan } from '../../lib/plan/plan.ts';
import type { PlanView } from '../../lib/plan/plan-view.ts';
import { advance, projectionOf } from '../../lib/plan/projection.ts';
import { planRestart } from '../../lib/plan/restart.ts';
import { standingOf } from '../../lib/plan/standing.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line } from '../helpers/views.ts';

/** Shards of a master with slots and so many replicas; then masters without slots. Numbers count up, shard by shard. */
interface World {
  readonly replicas: readonly number[];
  readonly empty: number;
  readonly batch: boolean;
  readonly home: boolean;
  /** Which nodes are chosen, by their number. */
  readonly isChosen: (node: number) => boolean;
}

const numberOf = (id: string): number => Number.parseInt(id, 16);
const runIdOf = (node: number, starts: number): string =>
  (1000 * starts + node).toString(16).padStart(40, '0');

function planOf({ replicas, empty, batch, home, isChosen }: World): Plan {
  const lines: Line[] = [];
  const successors = new Map<number, number>();
  let node = 1;
  const share = Math.floor(16384 / replicas.length);
  for (const [index, count] of replicas.entries()) {
    const master = node++;
    const last = index === replicas.length - 1 ? 16383 : (index + 1) * share - 1;
    lines.push({ node: master, slots: `${index * share}-${last}` });
    // Any of its replicas.
    successors.set(master, master + 1 + (index % count));
    for (let replica = 0; replica < count; replica++) lines.push({ node: node++, flags: 'slave', master });
  }
  for (let index = 0; index < empty; index++) lines.push({ node: node++ });
  const view = agreedView(lines);
  const nodes = view.nodes.filter(({ id }) => isChosen(numberOf(id)));
  const byNumber = new Map(view.nodes.map((one) => [numberOf(one.id), one]));
  return toPlan(
    planRestart(view, {
      nodes,
      batch,
      home,
      runIds: new Map(nodes.map(({ id }) => [id, runIdOf(numberOf(id), 0)])),
      successors: new Map(
        [...successors].flatMap(([master, replica]) => {
          const found = byNumber.get(replica);
          return found ? [[idOf(master), found] as const] : [];
        }),
      ),
    }),
    view.nodes,
  );
}

const world = fc.record({
  replicas: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 6 }),
  empty: fc.integer({ min: 0, max: 2 }),
  batch: fc.boolean(),
  home: fc.boolean(),
  isChosen: fc.oneof(
    fc.constant(() => true),
    fc
      .set(fc.integer({ min: 1, max: 26 }), { minLength: 1 })
      .map((chosen) => (node: number) => chosen.has(node)),
  ),
});

/** The cluster after some steps, as `lookForPlan` reports it; of the step after these, some nodes are restarted. */
function sightAfter(plan: Plan, steps: number, half = 0): PlanView {
  const projection = projectionOf(plan.before);
  const restarted = new Set<string>();
  for (const [index, step] of plan.steps.slice(0, steps + 1).entries()) {
    if (step.type === 'restart') {
      const nodes = index < steps ? step.nodes : step.nodes.slice(0, half);
      for (const { id } of nodes) restarted.add(id);
    }
    if (index < steps) advance(projection, step);
  }
  const view = agreedView(
    plan.before.map(({ id, configEpoch }): Line => {
      const master = projection.masters.get(id) ?? null;
      const slots = projection.owners.flatMap((owner, slot) => (owner === id ? [slot] : []));
      return {
        node: numberOf(id),
        epoch: configEpoch,
        slots: formatRanges(toRanges(slots)),
        ...(master === null ? {} : { flags: 'slave', master: numberOf(master) }),
      };
    }),
  );
  const none = new Map<string, never>();
  return {
    view,
    members: new Set(plan.before.map(({ id }) => id)),
    otherIds: none,
    keys: none,
    reached: new Set(),
    copying: new Set(),
    runIds: new Map(plan.before.map(({ id }) => [id, runIdOf(numberOf(id), restarted.has(id) ? 1 : 0)])),
  };
}

describe('planRestart()', () => {
  const order = (one: Partial<World>): string =>
    planOf({ replicas: [1, 2], empty: 1, batch: false, home: false, isChosen: () => true, ...one })
      .steps.map((step) => {
        if (step.type === 'restart') return step.nodes.map(({ id }) => numberOf(id)).join('+');
        return step.type === 'failover'
          ? `${numberOf(step.master.id)}>${numberOf(step.replica.id)}`
          : step.type;
      })
      .join(' ');
  // Shards: 1 with 2; 3 with 4 and 5. 6 has no slots.
  const table: readonly (readonly [string, Partial<World>, string])[] = [
    ['replicas and empty masters first, then masters that were replaced', {}, '2 4 5 6 1>2 1 3>5 3'],
    ['and brings masters home', { home: true }, '2 4 5 6 1>2 1 2>1 3>5 3 5>3'],
    ['many at once, one of each shard', { batch: true }, '2+4+6 5 1>2 3>5 1+3'],
    ['many at once, and home', { batch: true, home: true }, '2+4+6 5 1>2 3>5 1+3 2>1 5>3'],
    ['only what was chosen', { isChosen: (node) => node === 3 || node === 4 }, '4 3>5 3'],
    ['nothing', { isChosen: () => false }, ''],
  ];
  for (const [what, one, expected] of table)
    test(`restarts ${what}`, () => assert.equal(order(one), expected));

  test('stops no server that owns slots and one of a shard at a time, restarts each once, and ends as it says', () => {
    fc.assert(
      fc.property(world, (one) => {
        const plan = planOf(one);
        const projection = projectionOf(plan.before);
        const chosen = plan.before.filter(({ id }) => one.isChosen(numberOf(id))).map(({ id }) => id);
        const restarted: string[] = [];
        for (const step of plan.steps) {
          if (step.type === 'restart') {
            const down = step.nodes.map(({ id }) => id);
            restarted.push(...down);
            const shards = down.map((id) => projection.masters.get(id) ?? id);
            assert.equal(new Set(shards).size, shards.length);
            for (const id of down) assert.ok(!projection.owners.includes(id));
            assert.ok(one.batch || down.length === 1);
          } else {
            const { replica, master } = step as StepOf<'failover'>;
            assert.equal(projection.masters.get(replica.id), master.id);
          }
          advance(projection, step);
        }
        assert.deepEqual(restarted.sort(), chosen.sort());
        for (const { id, slots } of plan.expect?.owners ?? []) {
          for (const [first, last] of slots)
            assert.deepEqual([projection.owners[first], projection.owners[last]], [id, id]);
        }
        for (const { id, masterId } of plan.expect?.replicas ?? [])
          assert.equal(projection.masters.get(id), masterId);
        if (one.home) assert.deepEqual([...projection.masters], [...projectionOf(plan.before).masters]);
      }),
      { numRuns: 200 },
    );
  });

  test('goes on from wherever it was killed with what is left', () => {
    fc.assert(
      fc.property(world, fc.nat(), fc.nat(), (one, place, part) => {
        const plan = planOf(one);
        const at = place % (plan.steps.length + 1);
        const next = plan.steps[at];
        const half = next?.type === 'restart' ? part % next.nodes.length : 0;
        const seen = sightAfter(plan, at, half);
        const { left, differences } = standingOf(plan, seen);
        assert.deepEqual(differences, []);
        const rest = plan.steps.slice(at);
        if (next?.type === 'restart') rest[0] = { ...next, nodes: next.nodes.slice(half) };
        assert.deepEqual(left, rest);
        // One that is being restarted does not answer.
        const [first] = left;
        if (first?.type !== 'restart') return;
        const down = first.nodes[0]?.id ?? '';
        const { view } = seen;
        const reports = new Map([...view.reports].filter(([id]) => id !== down));
        const runIds = new Map([...(seen.runIds ?? [])].filter(([id]) => id !== down));
        const silent = standingOf(plan, { ...seen, view: { ...view, reports }, runIds });
        assert.deepEqual([silent.differences, silent.left], [[], rest]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('versionTest()', () => {
  const table: readonly (readonly [string, string, boolean | undefined])[] = [
    ['8.0', '8.0.3', true],
    ['8.0', '8.2.0', false],
    ['8.0.3', '8.0.3', true],
    ['8.0.3', '8.0.31', false],
    ['<8.2', '8.0.9', true],
    ['<8.2', '8.2.0', false],
    ['<8.2.1', '8.2.0', true],
    ['<9', '8.6.3', true],
    ['<9', '10.0.0', false],
    ['<9', '?', false],
    ['8', '8.0.0', undefined],
    ['10.0.0.1', '8.0.0', undefined],
    ['10.0.0.1:7000', '8.0.0', undefined],
    ['abcdef', '8.0.0', undefined],
  ];
  for (const [text, version, expected] of table)
    test(`${text} and ${version}`, () => assert.equal(versionTest(text)?.({ version }), expected));
});

describe('--exec', () => {
  test('is split into words, and what is filled in is never split again', () => {
    const table: readonly (readonly [string, readonly string[]])[] = [
      [
        'ssh {host} systemctl restart redis@{port}',
        ['ssh', '{host}', 'systemctl', 'restart', 'redis@{port}'],
      ],
      [`  a 'b c' "d \\"e\\" '" f\\ g ''`, ['a', 'b c', `d "e" '`, 'f g', '']],
      ['a $HOME;b|c', ['a', '$HOME;b|c']],
      [`"a\\n"`, ['a\\n']],
    ];
    for (const [text, words] of table) assert.deepEqual(splitWords(text), words, text);
    for (const text of ['', ' ', `a 'b`, 'a "b'])
      assert.throws(() => splitWords(text), { name: 'Error' }, text);
    const server = { host: 'a b;c', port: 7, id: 'f00' };
    assert.deepEqual(fillIn(['x', '{host}', '{port}:{id}', '{other}'], server), [
      'x',
      'a b;c',
      '7:f00',
      '{other}',
    ]);
    assert.throws(() => fillIn(['{host}'], { ...server, host: '-oProxyCommand=x' }));
  });

  test('fails with the exit code, and shows the output then', async () => {
    const shown: string[] = [];
    const server = { host: 'h', port: 7, id: 'f00' };
    const run = (code: string, always = false): Promise<void> =>
      runner(`'${process.execPath}' -e "${code}"`, (text) => shown.push(text), always)(server);
    await run(`console.log('quiet')`);
    await run(`console.log('{port} {host}')`, true);
    await assert.rejects(run(`console.error('bad'); process.exit(3)`), /exit code 3/);
    await assert.rejects(runner('/no/such/program', () => undefined, false)(server), /cannot run/);
    await assert.rejects(run('process.kill(process.pid)'), /ended by SIGTERM/);
    assert.deepEqual(shown.slice(0, 2), ['7 h\n', 'bad\n']);
    // A process that it leaves running does not keep it waiting.
    const started = performance.now();
    await run(
      `require('child_process').spawn(process.execPath, ['-e', 'setTimeout(() => 0, 5000)'], { stdio: 'inherit', detached: true }).unref()`,
    );
    assert.ok(performance.now() - started < 4000);
  });
});
