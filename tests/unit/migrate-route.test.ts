import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type MigrateRoute, migrateRoute, type RouteEvidence } from '../../lib/move/migrate-route.ts';
import { fc } from '../helpers/properties.ts';

const LISTED = { host: '10.0.0.5', port: 6379 };
const settings = (text: string): ReadonlyMap<string, string> =>
  new Map(text === '' ? [] : text.split(' ').map((pair) => pair.split('=') as [string, string]));

interface Row {
  readonly name: string;
  readonly source?: string;
  readonly target?: string;
  readonly listed?: RouteEvidence['listed'];
  readonly isTls?: boolean;
  /** `host:port`, with `listed` if it may be asked from here; or the setting that is in the way. */
  readonly wanted: string;
}

const PLAIN = 'tls-cluster=no';
const TLS = 'tls-cluster=yes';
const PORTS = 'port=6379 tls-port=6380';

const rows: readonly Row[] = [
  { name: 'nothing is known', wanted: '10.0.0.5:6379 listed' },
  { name: 'all is plain', source: PLAIN, target: 'port=6379 tls-port=0', wanted: '10.0.0.5:6379 listed' },
  { name: 'no host is listed', listed: { host: '', port: 6379 }, wanted: '127.0.0.1:6379 listed' },
  {
    name: 'the port is announced and is not its own',
    ...{ source: PLAIN, target: 'port=7000 cluster-announce-port=6379', wanted: '10.0.0.5:6379 listed' },
  },
  { name: 'MIGRATE speaks TLS, and we do not', source: TLS, target: PORTS, wanted: '10.0.0.5:6380' },
  {
    name: 'the TLS port is announced',
    ...{ source: TLS, target: `${PORTS} cluster-announce-tls-port=7380`, wanted: '10.0.0.5:7380' },
  },
  {
    name: 'we speak TLS, and MIGRATE does not',
    ...{ listed: { host: '10.0.0.5', port: 6380 }, isTls: true, source: PLAIN, target: PORTS },
    wanted: '10.0.0.5:6379',
  },
  { name: 'both speak TLS', isTls: true, source: TLS, target: PORTS, wanted: '10.0.0.5:6379 listed' },
  { name: 'the target tells no port', source: TLS, wanted: '10.0.0.5:6379 listed' },
  {
    name: 'MIGRATE speaks TLS, and the target has no TLS port',
    source: TLS,
    target: 'port=6379 tls-port=0',
    wanted: 'tls-port',
  },
  {
    name: 'MIGRATE speaks plain TCP, and the target has no plain port',
    ...{ isTls: true, source: PLAIN, target: 'port=0 tls-port=6379', wanted: 'port' },
  },
  {
    name: 'the listed host is for clients',
    ...{ target: 'cluster-announce-client-ipv4=10.0.0.5 cluster-announce-ip=172.16.0.5 port=6379' },
    wanted: '172.16.0.5:6379',
  },
  {
    name: 'the listed host is for clients, and no other is announced',
    target: 'cluster-announce-client-ipv4=10.0.0.5 cluster-announce-ip= laddr=172.16.0.9 port=6379',
    wanted: '172.16.0.9:6379',
  },
  {
    name: 'another host is for clients',
    ...{ target: 'cluster-announce-client-ipv6=::1 cluster-announce-ip=172.16.0.5 port=6379' },
    wanted: '10.0.0.5:6379 listed',
  },
  {
    name: 'the listed port is for clients',
    target: 'cluster-announce-client-port=6379 port=7000',
    wanted: '10.0.0.5:7000',
  },
];

const shown = ({ address, isListed, refusal }: MigrateRoute): string =>
  refusal ? refusal.settings.join(' ') : `${address.host}:${address.port}${isListed ? ' listed' : ''}`;

describe('migrateRoute()', () => {
  for (const { name, source = '', target = '', listed = LISTED, isTls = false, wanted } of rows)
    test(`leads to ${wanted} if ${name}`, () => {
      const reached = { host: '127.0.0.1', port: 6379 };
      const route = migrateRoute({
        ...{ listed, reached, isTls, source: settings(source), target: settings(target) },
      });
      assert.equal(shown(route), wanted);
    });

  test('never lets a port be asked from here that speaks otherwise than we do', () => {
    const port = fc.constantFrom('0', '6379', '6380');
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), port, port, (isTls, speaksTls, plain, tls) => {
        const route = migrateRoute({
          ...{ listed: LISTED, reached: LISTED, isTls },
          source: settings(speaksTls ? TLS : PLAIN),
          target: settings(`port=${plain} tls-port=${tls}`),
        });
        if (isTls !== speaksTls) {
          assert.equal(route.isListed, false);
          assert.equal(route.address.port, Number(speaksTls ? tls : plain));
        }
        assert.equal(route.refusal !== undefined, route.address.port === 0);
      }),
    );
  });
});
