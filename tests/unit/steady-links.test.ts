import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAddress } from '../../lib/model/address.ts';
import { conditionOf, lostNodes } from '../../lib/model/condition.ts';
import { doubtfulLinks, isLinkInUse, type LinkSample, withoutLinks } from '../../lib/model/steady-links.ts';
import { Connections } from '../../lib/nodes/connections.ts';
import { look } from '../../lib/nodes/look.ts';
import { startMadeUpCluster } from '../helpers/made-up-cluster.ts';
import { bulk } from '../helpers/made-up-server.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, nodesText, portOf } from '../helpers/views.ts';

/** One look every 100 ms: `-` no link, a digit for a link with an answer received at that time, `?` for one seen without that time. */
function looks(text: string): LinkSample[] {
  let pongMs = 0;
  return [...text].map((mark, index) => {
    if (/\d/.test(mark)) pongMs = Number(mark);
    return { atMs: 100 * index, isLinked: mark !== '-', ...(mark === '?' ? {} : { pongMs }) };
  });
}

const table: readonly (readonly [name: string, looks: string, isInUse: boolean | undefined])[] = [
  ['one that is found by all looks', '?11111', true],
  ['one that has not been looked at often enough', '?1111', undefined],
  ['one that is found by all looks, with new answers', '?12345', true],
  ['not one that is gone for good', '?----', false],
  ['one that may be about to be opened again', '?---', undefined],
  ['not one that is only being opened now and then', '?1-1-1--', false],
  ['not one that was being opened at the first look, and is again at the last', '?1--1-1', false],
  ['one that was lost for a moment, and over which an answer has come since', '?-2', true],
  ['one that was lost and opened again, still without an answer', '?1-1111111', undefined],
];

describe('isLinkInUse() calls in use', () => {
  for (const [name, text, expected] of table)
    test(name, () => assert.equal(isLinkInUse(looks(text)), expected));

  /** Looks with pauses of 60 to 200 ms. */
  const pauses = fc.array(fc.integer({ min: 60, max: 200 }), { minLength: 20, maxLength: 20 });
  const samplesOf = (pausesMs: readonly number[], at: (ms: number) => Omit<LinkSample, 'atMs'>) => {
    let atMs = 0;
    return pausesMs.map((pauseMs, index): LinkSample => {
      atMs += index === 0 ? 0 : pauseMs;
      return { atMs, ...at(atMs) };
    });
  };
  const verdictsOn = (samples: readonly LinkSample[]) =>
    samples.slice(1).map((_, index) => isLinkInUse(samples.slice(0, index + 2)));

  test('every link that is, also one that a server closes and opens again, whether the node answers or is slow', () => {
    const gap = fc.record({
      atMs: fc.integer({ min: 1, max: 3000 }),
      forMs: fc.integer({ min: 0, max: 180 }),
    });
    fc.assert(
      fc.property(pauses, gap, fc.boolean(), (pausesMs, { atMs, forMs }, answers) => {
        const samples = samplesOf(pausesMs, (ms) => ({
          isLinked: ms < atMs || ms >= atMs + forMs,
          pongMs: answers && ms >= atMs + forMs ? ms : 0,
        }));
        assert.ok(!verdictsOn(samples).includes(false));
      }),
      { numRuns: 1000 },
    );
  });

  test('no link that a server tries to open every 100 ms, and that is closed again after up to 60', () => {
    const found = fc.record({
      openMs: fc.integer({ min: 1, max: 60 }),
      phaseMs: fc.integer({ min: 0, max: 99 }),
    });
    let [decided, all] = [0, 0];
    fc.assert(
      fc.property(pauses, found, (pausesMs, { openMs, phaseMs }) => {
        const samples = samplesOf(pausesMs, (ms) => ({
          isLinked: ms === 0 || (ms + phaseMs) % 100 < openMs,
          pongMs: 1,
        }));
        const [first] = verdictsOn(samples).filter((verdict) => verdict !== undefined);
        all += 1;
        if (first === false) decided += 1;
      }),
      { numRuns: 1000 },
    );
    // A row of looks may find each of several attempts. It takes bad luck.
    assert.ok(decided > 0.9 * all, `${decided} of ${all}`);
  });
});

const owners: readonly Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16382' },
];
const gone: Line = { node: 3, slots: '16383' };

describe('doubtfulLinks() are', () => {
  const numbersOf = (lines: readonly Line[], silent: readonly number[]) =>
    doubtfulLinks(agreedView(lines, silent)).map(({ from, to }) =>
      [from, to].map((id) => Number.parseInt(id, 16)),
    );
  test('none of a cluster whose nodes all answer', () =>
    assert.deepEqual(numbersOf([...owners, gone], []), []));
  test('those to a node that does not answer', () =>
    assert.deepEqual(numbersOf([...owners, gone], [3]), [
      [1, 3],
      [2, 3],
    ]));
  test('none to a node that is suspected', () =>
    assert.deepEqual(numbersOf([...owners, { ...gone, flags: 'master,fail?' }], [3]), []));
  test('none if too many have one for all of them to be opening it', () => {
    const many = Array.from({ length: 20 }, (_, index): Line => ({ node: index + 4, slots: `${index}` }));
    assert.deepEqual(numbersOf([...many, gone], [3]), []);
  });
  test('taken out of the view one by one', () => {
    const view = agreedView([...owners, gone], [3]);
    assert.equal(conditionOf(view, idOf(3)).kind, 'unreachable-from-here');
    const links = doubtfulLinks(view);
    assert.equal(conditionOf(withoutLinks(view, links.slice(1)), idOf(3)).kind, 'silent');
    const steady = withoutLinks(view, links);
    const place = `127.0.0.1:${portOf(3)}`;
    const asked = new Map([[place, { error: new Error('connect ECONNREFUSED') }]]);
    assert.deepEqual(lostNodes({ ...steady, asked }, true), [idOf(3)]);
    assert.deepEqual(doubtfulLinks(steady), []);
  });
});

describe('look()', () => {
  /** What node 2 says about its link to node 3, at each time that it is asked; in the end the last. */
  const conditionWhile = async (states: readonly string[]) => {
    let asked = 0;
    const lines = [...owners, gone];
    await using cluster = await startMadeUpCluster(lines, {
      silent: [3],
      odd: (node, words) => {
        if (words.join(' ').toUpperCase() !== 'CLUSTER NODES') return undefined;
        const link = node === 1 ? 'disconnected' : (states[Math.min(asked++, states.length - 1)] ?? '');
        const text = nodesText(node, [...owners, { ...gone, link }]);
        return bulk(
          `${text.replace(/127\.0\.0\.1:7(00[12])@\d+/g, (_, digits) => cluster.address(Number(digits)))}\n`,
        );
      },
    });
    const connections = new Connections({});
    try {
      const view = await look(connections, parseAddress(cluster.address(1)));
      const record = view.reports.get(idOf(2))?.records.find(({ id }) => id === idOf(3));
      return [record?.linkState, asked];
    } finally {
      await connections.close();
    }
  };

  test('believes a link to a silent node that every look finds', async () =>
    assert.deepEqual(await conditionWhile(['connected']), ['connected', 6]));
  test('asks once if there is none', async () =>
    assert.deepEqual(await conditionWhile(['disconnected']), ['disconnected', 1]));
  test('does not believe one that is only being opened', async () => {
    const [link, asked] = await conditionWhile(['connected', 'disconnected', 'connected', 'disconnected']);
    assert.equal(link, 'disconnected');
    assert.ok(Number(asked) <= 8, `${asked}`);
  });
});
