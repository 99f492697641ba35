import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { check } from '../../lib/index.ts';
import { connect } from '../../resp/index.ts';
import { serverProgram } from '../bed/index.ts';
import { takePorts } from '../bed/ports.ts';
import { assertSoon } from '../helpers/clusters.ts';
import { CommandLine } from '../helpers/command-line.ts';

const trib = new CommandLine();
let program: string;
before(async () => {
  [program] = await Promise.all([serverProgram(), trib.build()]);
});
after(() => trib.remove());

/** What a demo leaves behind if it does not clean up. */
function folders(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('redis-trib-demo-'));
}

async function assertGone(ports: readonly number[]): Promise<void> {
  await assertSoon(async () => {
    for (const port of ports) await assert.rejects(connect({ port }), { code: 'ECONNREFUSED' });
    assert.deepEqual(folders(), []);
  });
}

describe('demo', () => {
  test('starts a cluster that is well, tells its addresses, and leaves nothing at Ctrl-C', async () => {
    const ports = await takePorts(4, '127.0.0.1');
    const [port] = ports;
    const args = ['demo', '--masters', '2', '--replicas', '1', '--port', `${port}`];
    const run = trib.start(args, { env: { PATH: `${dirname(program)}:/usr/bin:/bin` } });
    await run.shows(/Ctrl-C ends it/);
    const { ok, view } = await check(`127.0.0.1:${port}`);
    assert.deepEqual([ok, view.nodes.length], [true, 4]);
    run.child.kill('SIGINT');
    const { code, stdout } = await run.finished;
    assert.equal(code, 0);
    for (const each of ports) assert.ok(stdout.includes(`127.0.0.1:${each}`), stdout);
    assert.match(stdout, /The cluster is gone\n$/);
    await assertGone(ports);
  });

  test('leaves nothing when it is killed', async () => {
    const ports = await takePorts(1, '127.0.0.1');
    const run = trib.start(['demo', '--masters', '1', '--port', `${ports[0]}`, '--server', program]);
    await run.shows(/Ctrl-C ends it/);
    run.child.kill('SIGKILL');
    await run.finished;
    await assertGone(ports);
  });

  test('ends with code 1 when a server ends by itself', async () => {
    const [port = 0] = await takePorts(1, '127.0.0.1');
    const run = trib.start(['demo', '--masters', '1', '--port', `${port}`, '--server', program]);
    await run.shows(/Ctrl-C ends it/);
    const connection = await connect({ port });
    await connection.command(['SHUTDOWN', 'NOSAVE']).catch(() => undefined);
    const { code, stdout } = await run.finished;
    assert.deepEqual([code, stdout.includes(`127.0.0.1:${port} has ended by itself`)], [1, true], stdout);
    await assertGone([port]);
  });

  test('says what it lacks, and starts nothing', async () => {
    const [port = 0] = await takePorts(1, '127.0.0.1');
    const args = ['demo', '--masters', '1', '--port', `${port}`];
    const missing = await trib.run(args, { env: { PATH: '/nonexistent' } });
    assert.deepEqual([missing.code, missing.stdout], [1, '']);
    assert.match(missing.stderr, /no redis-server or valkey-server on the path\nNext: .*--server FILE/);

    const odd = await trib.run([...args, '--server', '/nonexistent/server']);
    assert.equal(odd.code, 1);
    assert.match(odd.stderr, /^Error: Cannot start a cluster to try: .*ENOENT/);

    const other = await trib.run([...args, '--server', '/bin/false']);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /ended at once/);

    const listener = createServer().listen(port, '127.0.0.1');
    const taken = await trib.run([...args, '--server', program]);
    listener.close();
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, new RegExp(`port ${port} cannot be had: .*\nNext: Choose others: --port N`));

    const high = await trib.run(['demo', '--port', '55534', '--server', program]);
    assert.equal(high.code, 2);
    await assertGone([]);
  });
});
