// TLS from the command line: certificates, names, and a peer that does not speak it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bed, openBed } from '../bed/index.ts';
import { assertDone, assertFailed, documentOf, runHere } from '../helpers/cli-runs.ts';
import { at, quick } from '../helpers/clusters.ts';
import { CommandLine } from '../helpers/command-line.ts';

const files = new CommandLine();
let bed: Bed;
let [a, plain] = ['', ''];
let [ca, both]: [string, string] = ['', ''];
let pair: string[];
before(async () => {
  bed = await openBed();
  const config = { ...quick.config, 'tls-auth-clients': 'yes' };
  const [secure, others] = await Promise.all([bed.start(2, { tls: true, config }), bed.start(1, quick)]);
  const [one, two] = [at(secure, 0), at(secure, 1)];
  assert.ok(one.tls && two.tls);
  [a, plain] = [one.address, at(others, 0).address];
  ca = files.file('ca.pem', one.tls.ca);
  // Each node has its own authority.
  both = files.file('both.pem', `${one.tls.ca}\n${two.tls.ca}`);
  pair = ['--cert', files.file('cert.pem', one.tls.cert), '--key', files.file('key.pem', one.tls.key)];
});
after(async () => {
  files.remove();
  await bed.close();
});

describe('With TLS,', { concurrency: true }, () => {
  for (const [title, trust] of [
    ['--cacert', () => ['--cacert', ca]],
    ['--insecure', () => ['--insecure']],
    ['--cacert and --sni', () => ['--cacert', ca, '--sni', 'localhost']],
  ] as const) {
    test(`a client certificate and ${title} are enough`, async () =>
      assertDone(await runHere(['list', a, '--tls', ...pair, ...trust()])));
  }

  /** `advice`: the option that the line after the error has to name. */
  const refusals: [title: string, words: () => string[], advice: string][] = [
    ['an unknown authority', () => [a, '--tls'], '--cacert'],
    ['no --tls for a node that speaks it', () => [a], '--tls'],
    ['--tls for one that does not', () => [plain, '--tls', '--cacert', ca, '--connect-timeout=500'], '--tls'],
    ['no client certificate', () => [a, '--tls', '--cacert', ca], '--cert'],
    ['another name', () => [a, '--tls', ...pair, '--cacert', both, '--sni', 'elsewhere'], '--sni'],
  ];
  for (const [title, words, advice] of refusals) {
    test(`${title} fails, and ${advice} is named`, async () => {
      const ran = await runHere(['list', ...words()]);
      assertFailed(ran);
      const next = ran.stderr.split('\n').find((line) => line.startsWith('Next: '));
      assert.ok(next?.includes(advice), ran.stderr);
    });
  }

  test('a cluster starts, and is checked', async () => {
    assertDone(await runHere(['start', a, '--tls', ...pair, '--cacert', both]));
    const check = await runHere(['check', '--tls', '--cacert', both, a, ...pair, '--json']);
    assertDone(check);
    assert.equal(documentOf(check, 'check').ok, true);
  });
});
