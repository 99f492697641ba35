import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClusterError } from '../../lib/model/cluster-error.ts';
import { type Condition, conditionOf, goneNodes } from '../../lib/model/condition.ts';
import { type AddressAnswer, type ClusterView, mergeReports } from '../../lib/model/view.ts';
import { ConnectionError, ProtocolError, ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, portOf, viewOf } from '../helpers/views.ts';

const NODE = 3;
const PLACE = `127.0.0.1:${portOf(NODE)}`;

const masters: readonly Line[] = [
  { node: 1, slots: '0-5460' },
  { node: 2, slots: '5461-10922' },
];
const well: Line = { node: NODE, slots: '10923-16383' };

/** The cluster as masters 1 and 2 see it, who have this line of node 3, and what came of asking at its address. */
function seen(line: Partial<Line>, answer: AddressAnswer): ClusterView {
  const view = agreedView([...masters, { ...well, ...line }], [NODE]);
  return { ...view, asked: new Map([[PLACE, answer]]) };
}

const refused = new ConnectionError('connect ECONNREFUSED', { code: 'ECONNREFUSED', address: PLACE });
const reply = (text: string) => new ReplyError(text);
const tls = new ProtocolError('The peer answers in TLS', { code: 'RESP_TLS', offset: 0 });

const failed = { flags: 'master,fail', link: 'disconnected' };
const suspected = { flags: 'master,fail?', link: 'disconnected' };
const lost = { flags: 'master,noaddr', link: 'disconnected' };
const other = idOf(9);

const rows: readonly (readonly [name: string, Partial<Line>, AddressAnswer, Condition])[] = [
  ['dead: held for failed and silent', failed, { error: refused }, { kind: 'dead' }],
  ['silent: only suspected', suspected, { error: refused }, { kind: 'silent' }],
  [
    'unreachable from here: all masters have a link to it',
    {},
    { error: refused },
    { kind: 'unreachable-from-here', linked: 2, masters: 2 },
  ],
  [
    'loading, though held for failed',
    failed,
    { error: reply('LOADING Redis is loading the dataset in memory') },
    { kind: 'loading', address: PLACE },
  ],
  ...['NOAUTH', 'WRONGPASS', 'NOPERM'].map(
    (code) =>
      [
        `refuses us with ${code}, though held for failed`,
        failed,
        { error: reply(`${code} no`) },
        { kind: 'refuses-us', address: PLACE, code },
      ] as const,
  ),
  [
    'refuses us: a server without cluster support, which may be the node with its keys',
    failed,
    { error: new ClusterError('NOT_CLUSTER_ENABLED', 'Node is not cluster enabled') },
    { kind: 'refuses-us', address: PLACE, code: 'NOT_CLUSTER_ENABLED' },
  ],
  ['refuses us: speaks TLS', failed, { error: tls }, { kind: 'refuses-us', address: PLACE, code: 'TLS' }],
  [
    'wiped: an empty node answers there, and nobody has a link',
    failed,
    { id: other, isAlone: true },
    { kind: 'wiped', address: PLACE, by: other },
  ],
  [
    'a stranger: a member of some cluster answers there',
    failed,
    { id: other, isAlone: false },
    { kind: 'stranger-at-its-address', address: PLACE, by: other },
  ],
  [
    'a stranger while the node is only suspected',
    suspected,
    { id: other, isAlone: true },
    { kind: 'stranger-at-its-address', address: PLACE, by: other },
  ],
];

describe('conditionOf()', () => {
  for (const [name, line, answer, expected] of rows) {
    test(`finds ${name}`, () => assert.deepEqual(conditionOf(seen(line, answer), idOf(NODE)), expected));
  }

  test('finds a node healthy that answers where all list it', () => {
    const view = agreedView([...masters, well]);
    for (const { id } of view.nodes) assert.deepEqual(conditionOf(view, id), { kind: 'healthy' });
  });

  test('finds a node moved that answers, while a member knows no address of it', () => {
    const all = [...masters, well];
    const view = viewOf({
      1: { lines: all },
      2: { lines: [...masters, { ...well, ...lost }] },
      [NODE]: { lines: all },
    });
    assert.deepEqual(conditionOf(view, idOf(NODE)), {
      kind: 'moved',
      address: PLACE,
      misled: [`127.0.0.1:${portOf(2)}`],
    });
    assert.deepEqual(goneNodes(view), []);
  });

  test('does not call a node dead by the marks of a minority of the masters, which may be out of date', () => {
    const third: Line = { node: 4, slots: '5' };
    const first = { node: 1, slots: ['0-4', '6-5460'].join(' ') };
    const all = [first, ...masters.slice(1), third, { ...well, ...failed }];
    const kindBy = (...silent: number[]) => {
      const view = agreedView(all, [NODE, ...silent]);
      return conditionOf({ ...view, asked: new Map([[PLACE, { error: refused }]]) }, idOf(NODE)).kind;
    };
    // Of four masters: three, two and one of them answer.
    assert.deepEqual([kindBy(), kindBy(4), kindBy(2, 4)], ['dead', 'silent', 'silent']);
  });

  test('counts masters that have forgotten a node only if it has slots', () => {
    const third: Line = { node: 4, slots: '10923-16383' };
    const kindOf = (line: Partial<Line>) => {
      const all = [...masters, third];
      const listing = { lines: [...all, { node: NODE, ...line }] };
      const view = viewOf({ 1: { lines: all }, 2: { lines: all }, 4: listing });
      const error = { error: refused };
      const unreachable = new Map([[idOf(NODE), refused]]);
      return conditionOf({ ...view, unreachable, asked: new Map([[PLACE, error]]) }, idOf(NODE)).kind;
    };
    const replica = { master: 1, link: 'disconnected' };
    assert.equal(kindOf({ ...replica, flags: 'slave,fail' }), 'dead');
    assert.equal(kindOf({ ...replica, flags: 'slave,fail?' }), 'silent');
    assert.equal(kindOf(failed), 'dead');
    assert.equal(kindOf({ ...failed, slots: '16383' }), 'silent');
  });

  test('finds a node gone only if no member has a link to it and it answers nowhere', () => {
    const states = fc.record({
      flags: fc.constantFrom('master', 'master,fail?', 'master,fail', 'master,noaddr'),
      link: fc.constantFrom('connected', 'disconnected'),
    });
    const answers = fc.constantFrom<AddressAnswer>(
      { error: refused },
      { error: reply('LOADING') },
      { error: reply('NOAUTH') },
      { id: other, isAlone: true },
      { id: other, isAlone: false },
    );
    fc.assert(
      fc.property(states, states, answers, (one, two, answer) => {
        const view = viewOf({
          1: { lines: [...masters, { ...well, ...one }] },
          2: { lines: [...masters, { ...well, ...two }] },
        });
        const asked = new Map([[PLACE, answer]]);
        const gone = goneNodes(mergeReports(view.seed, view.seedId, view.reports, view.unreachable, asked));
        if (!gone.includes(idOf(NODE))) return;
        assert.ok(!(answer.error instanceof ReplyError), 'a server that answers is alive');
        assert.notEqual(answer.isAlone, false, 'a member answers at its address');
        const speaks = [one, two].filter(({ flags, link }) => flags === 'master' && link === 'connected');
        assert.equal(speaks.length, 0, 'a master has a link to it');
        const holding = [one, two].filter(({ flags }) => /fail$|noaddr/.test(flags));
        assert.equal(holding.length, 2, 'most masters hold it for failed, or know no address of it');
      }),
    );
  });
});
