import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
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
// Other files start servers for practice at the same time.
const TMPDIR = mkdtempSync(join(tmpdir(), 'redis-trib-demos-'));
after(() => {
  trib.remove();
  rmSync(TMPDIR, { recursive: true });
});

/** Folders that demos left behind. */
function folders(): string[] {
  return readdirSync(TMPDIR);
}

async function assertGone(ports: readonly number[]): Promise<void> {
  await assertSoon(async () => {
    for (const port of ports) await assert.rejects(connect({ port }), { code: 'ECONNREFUSED' });
    assert.deepEqual(folders(), []);
  });
}

describe('demo', () => {
  test('starts a healthy cluster, prints its addresses, and leaves nothing at Ctrl-C', async () => {
    const ports = await takePorts(4, '127.0.0.1');
    const [port] = ports;
    const args = ['demo', '--masters', '2', '--replicas', '1', '--port', `${port}`];
    const run = trib.start(args, { env: { TMPDIR, PATH: `${dirname(program)}:/usr/bin:/bin` } });
    await run.shows(/Ctrl-C stops and removes it/);
    const { ok, view } = await check(`127.0.0.1:${port}`);
    assert.deepEqual([ok, view.nodes.length], [true, 4]);
    run.child.kill('SIGINT');
    const { code, stdout } = await run.finished;
    assert.equal(code, 0);
    for (const each of ports) assert.ok(stdout.includes(`127.0.0.1:${each}`), stdout);
    await assertGone(ports);
  });

  test('leaves nothing when it is killed', async () => {
    const ports = await takePorts(1, '127.0.0.1');
    const run = trib.start(['demo', '--masters', '1', '--port', `${ports[0]}`, '--server', program], {
      env: { TMPDIR },
    });
    await run.shows(/Ctrl-C stops and removes it/);
    run.child.kill('SIGKILL');
    await run.finished;
    await assertGone(ports);
  });

  test('ends with code 1 when a server ends on its own', async () => {
    const [port = 0] = await takePorts(1, '127.0.0.1');
    // From where the command runs, which is not where its servers do.
    const server = relative('.', program);
    const run = trib.start(['demo', '--masters', '1', '--port', `${port}`, '--server', server], {
      env: { TMPDIR },
    });
    await run.shows(/Ctrl-C stops and removes it/);
    const connection = await connect({ port });
    await connection.command(['SHUTDOWN', 'NOSAVE']).catch(() => undefined);
    const { code } = await run.finished;
    assert.equal(code, 1);
    await assertGone([port]);
  });

  test('is NOT_STARTED without a server program or a free port, and leaves nothing', async () => {
    const [port = 0] = await takePorts(1, '127.0.0.1');
    const args = ['demo', '--masters', '1', '--port', `${port}`];
    const failed = async (words: readonly string[], env: Record<string, string> = {}): Promise<void> => {
      const { code, stdout } = await trib.run([...words, '--json'], { env: { TMPDIR, ...env } });
      assert.deepEqual([code, JSON.parse(stdout).error.code], [1, 'NOT_STARTED']);
    };
    await failed(args, { PATH: '/nonexistent' });
    await failed([...args, '--server', '/nonexistent/server']);
    await failed([...args, '--server', '/bin/false']);

    const listener = createServer().listen(port, '127.0.0.1');
    await failed([...args, '--server', program]).finally(() => listener.close());

    const high = await trib.run(['demo', '--port', '55534', '--server', program], { env: { TMPDIR } });
    assert.equal(high.code, 2);
    await assertGone([]);
  });
});
