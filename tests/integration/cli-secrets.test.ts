// Where a password may come from, and that no output shows it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertDone, assertFailed, assertSecret, errorOf, runHere, SECRET } from '../helpers/cli-runs.ts';
import { at, keysOfSlot, quick, tell } from '../helpers/clusters.ts';
import { CommandLine } from '../helpers/command-line.ts';

const files = new CommandLine();
let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(async () => {
  files.remove();
  await bed.close();
});

describe('A password', { concurrency: true }, () => {
  let [a, b, open]: ServerNode[] = [];
  let file: string;
  const address = (node: ServerNode | undefined): string => node?.address ?? '';
  before(async () => {
    file = files.file('password', `${SECRET}\n`);
    const [pair, alone] = await Promise.all([
      bed.start(2, { ...quick, password: SECRET }),
      bed.start(1, quick),
    ]);
    [a, b, open] = [...pair, ...alone];
    assertDone(await runHere(['create', '--yes', address(a), address(b), '--pass-file', file]));
    for (const node of pair) {
      await tell(
        node,
        ['ACL', 'SETUSER', 'operator', 'on', `>${SECRET}-2`, 'allkeys', '+@all'],
        ['ACL', 'SETUSER', 'limited', 'on', `>${SECRET}`, 'allkeys', '+@all', '-cluster'],
      );
    }
  });

  const ways: [title: string, words: () => string[], env: Record<string, string>][] = [
    ['the environment', () => [], { REDISCLI_AUTH: SECRET }],
    ['a file', () => ['--pass-file', file], {}],
    ['-a', () => ['-a', SECRET], {}],
    ['--pass, which wins over the environment', () => [`--pass=${SECRET}`], { REDISCLI_AUTH: 'another' }],
    ['a file, with a user', () => ['--user', 'default', '--pass-file', file], {}],
  ];
  for (const [title, words, env] of ways) {
    test(`comes from ${title}`, async () => {
      const ran = await runHere(['check', ...words(), address(a)], env);
      assertDone(ran);
      assertSecret(ran);
    });
  }

  test('of another ACL user is given to MIGRATE with its name', async () => {
    assert.ok(a && b);
    await tell(a, ...keysOfSlot(5, 50).map((key) => ['SET', key, 'value']));
    const words = ['migrate_slots', '--json', '--user', 'operator', a.address, b.address, '5'];
    const moved = await runHere(words, { REDISCLI_AUTH: `${SECRET}-2` });
    assertDone(moved);
    const { slots, keys } = JSON.parse(moved.stdout);
    assert.deepEqual([slots, keys], [1, 50]);
  });

  /** `advice`: what the line after the error has to name. */
  const rejected: [
    title: string,
    words: () => string[],
    env: Record<string, string>,
    code: string,
    advice: string,
  ][] = [
    ['is missing', () => [address(a)], {}, 'NOAUTH', 'REDISCLI_AUTH'],
    ['is wrong', () => [address(a)], { REDISCLI_AUTH: `wrong ${SECRET}` }, 'WRONGPASS', '--user'],
    ['is of no user', () => [address(a), '--user', 'nobody', '-a', SECRET], {}, 'WRONGPASS', '--user'],
    ['is of a limited user', () => [address(a), '--user', 'limited', '-a', SECRET], {}, 'NOPERM', 'user'],
    ['is not asked for', () => [address(open), '-a', SECRET], {}, 'ERR', '--pass'],
    ['is for a node that is down', () => ['127.0.0.1:1', '-a', SECRET], {}, 'ECONNREFUSED', ''],
  ];
  for (const [title, words, env, code, advice] of rejected) {
    test(`that ${title} ends in ${code}, and is shown nowhere`, async () => {
      const [text, json] = await Promise.all([
        runHere(['check', ...words()], env),
        runHere(['check', '--json', ...words()], env),
      ]);
      assertFailed(text);
      assert.ok(text.stderr.includes(words()[0] ?? ''), 'the node is named');
      const next = text.stderr.split('\n').find((line) => line.startsWith('Next: '));
      assert.ok(next?.includes(advice), text.stderr);
      assert.equal(errorOf(json, 'check').code, code);
      assertSecret(text);
      assertSecret(json);
    });
  }

  test('is not shown if a server repeats the arguments of an unknown MIGRATE', async () => {
    const config = { ...quick.config, 'rename-command': 'MIGRATE ""' };
    const nodes = await bed.start(2, { password: SECRET, config });
    const [source, target] = [at(nodes, 0), at(nodes, 1)];
    const env = { REDISCLI_AUTH: SECRET };
    assertDone(await runHere(['create', '--yes', source.address, target.address], env));
    await tell(source, ...keysOfSlot(5, 3).map((key) => ['SET', key, 'value']));
    for (const extra of [[], ['--json']]) {
      const args = ['migrate_slots', source.address, target.address, '5', '--method', 'migrate', ...extra];
      const ran = await runHere(args, env);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /\bMIGRATE\b/);
      assertSecret(ran);
    }
  });
});

test('A command that the server does not have is named', async () => {
  const node = at(await bed.start(1, { config: { ...quick.config, 'rename-command': 'INFO ""' } }), 0);
  const ran = await runHere(['start', node.address]);
  assertFailed(ran);
  assert.match(ran.stderr, /\bINFO\b/);
});
