// What is asked on a terminal, and what happens if there is none.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertEnded, assertSecret } from '../helpers/cli-runs.ts';
import { at, quick } from '../helpers/clusters.ts';
import { CommandLine, type Finished, terminal } from '../helpers/command-line.ts';

const noTerminal = terminal() === undefined && 'there is neither python3 nor script';

const trib = new CommandLine();
let bed: Bed;
let node: ServerNode;
before(async () => {
  [bed] = await Promise.all([openBed(), trib.build()]);
  node = at(await bed.start(1, { ...quick, password: 'hunter2' }), 0);
});
after(async () => {
  trib.remove();
  await bed.close();
});

describe('--askpass on a terminal', { skip: noTerminal, concurrency: true }, () => {
  const asked = async (typed: string): Promise<Finished> => {
    const running = trib.startOnTerminal(['start', '--askpass', '--dry-run', node.address], 80);
    await running.shows(/Password: $/);
    running.type(typed);
    const ran = await running.finished;
    assertSecret(ran);
    assert.match(ran.stdout, /^Password: \r\n./);
    assertEnded(ran);
    return ran;
  };

  test('takes the password without showing it', async () => {
    const ran = await asked('hunter2\r');
    assert.equal(ran.code, 0, ran.stdout);
    assert.match(ran.stdout, /\r\n {2}1\. /);
  });

  test('ends with 1 if the password is wrong', async () => {
    const ran = await asked('hunter3\r');
    assert.equal(ran.code, 1, ran.stdout);
    assert.match(ran.stdout, /\r\nError: .*WRONGPASS[\s\S]*\r\nNext: /);
  });

  test('ends with 130 at Ctrl-C', async () => assert.equal((await asked('hunt\x03')).code, 130));

  test('ends with 2 at the end of the input', async () => assert.equal((await asked('\x04')).code, 2));
});

test('--askpass without a terminal is wrong usage', async () => {
  const ran = await trib.run(['check', node.address, '--askpass']);
  assert.deepEqual([ran.code, ran.stdout], [2, '']);
});
