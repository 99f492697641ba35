// Closed streams, readers that have seen enough, odd environments, IPv6: it stays quiet, ends at once and does not crash.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertDone, runHere } from '../helpers/cli-runs.ts';
import { at, keysOfSlot, quick, tell } from '../helpers/clusters.ts';
import { CommandLine } from '../helpers/command-line.ts';

const trib = new CommandLine();
let bed: Bed;
before(async () => {
  [bed] = await Promise.all([openBed(), trib.build()]);
});
after(async () => {
  trib.remove();
  await bed.close();
});

describe('The command line', { concurrency: true }, () => {
  describe('in a poor environment', { concurrency: true }, () => {
    let node: ServerNode;
    let list: string;
    before(async () => {
      node = at(await bed.start(1, quick), 0);
      assertDone(await trib.run(['start', node.address]));
      list = `Total 1 nodes, 1 masters, 0 fail\nM  ${node.address} myself,master 16384\n`;
    });

    const CODE = '; echo "code $?" >&2; }';

    test('ends with 2 without a command, and for an option that does not exist', async () => {
      assert.equal((await trib.run([])).code, 2);
      const usage = await trib.run(['list', node.address, '--frob']);
      assert.deepEqual([usage.code, usage.stdout], [2, '']);
    });

    test('ends with 0 if its reader has seen enough', async () => {
      const cut = await trib.shell(`{ $TRIB execute ${node.address} COMMAND${CODE} | head -c 1`);
      assert.deepEqual([cut.stdout, cut.stderr], [node.address.slice(0, 1), 'code 0\n']);
      const head = await trib.shell(`$TRIB list ${node.address} | head -1`);
      assertDone(head);
      assert.equal(head.stdout, list.split(/(?<=\n)/)[0]);
    });

    for (const words of ['', '--json-stream']) {
      test(`top ${words} ends with 0 if its reader has seen enough`, async () => {
        const top = await trib.shell(
          `{ $TRIB top ${node.address} --interval 100 ${words}${CODE} | head -c 1`,
        );
        assert.equal(top.stderr, 'code 0\n');
      });
    }

    for (const ending of ['<&-', '</dev/null', '2>&-']) {
      test(`prints the same with ${ending}`, async () => {
        const ran = await trib.shell(`$TRIB list ${node.address} ${ending}`);
        assertDone(ran);
        assert.equal(ran.stdout, list);
      });
    }

    test('ends with 0 if stdout is closed', async () => {
      const nowhere = await trib.shell(`$TRIB list ${node.address} >&-`);
      assert.deepEqual([nowhere.code, nowhere.stderr], [0, '']);
    });

    test('ends with 1 if nobody reads its error', async () => {
      const unheard = await trib.shell(`{ $TRIB list 127.0.0.1:1 2>&1 >/dev/null${CODE} | true`);
      assert.equal(unheard.stderr, 'code 1\n');
    });

    for (const env of [
      { HOME: '/nonexistent' },
      { TERM: 'dumb' },
      { LANG: 'C', LC_ALL: 'C' },
      { NO_COLOR: '1', COLUMNS: '5' },
    ]) {
      test(`prints the same with ${JSON.stringify(env)}`, async () => {
        const ran = await trib.run(['list', node.address], { env });
        assertDone(ran);
        assert.equal(ran.stdout, list);
      });
    }
  });

  test('takes and shows IPv6 addresses in brackets', async () => {
    const nodes = await bed.start(2, { ...quick, host: '::1' });
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    assert.match(a.address, /^\[::1\]:/);
    assertDone(await runHere(['start', a.address]));
    await tell(a, ...keysOfSlot(16383, 5).map((key) => ['SET', key, 'value']));
    const joined = await trib.run(['join', a.address, b.address]);
    assertDone(joined);
    assert.ok(joined.stdout.includes(` ${b.address} `), joined.stdout);
    const list = await runHere(['list', b.address]);
    assertDone(list);
    for (const { address } of [a, b]) assert.ok(list.stdout.includes(` ${address} `), list.stdout);
    const moved = await runHere(['migrate_slots', a.address, b.address, '16383', '--json']);
    assertDone(moved);
    const { slots, keys } = JSON.parse(moved.stdout);
    assert.deepEqual([slots, keys], [1, 5]);
    assertDone(await runHere(['quit', b.address]));
  });
});
