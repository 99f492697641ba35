import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { commands } from '../../lib/cli/commands.ts';
import { completionScript, SHELLS } from '../../lib/cli/completion.ts';
import { runMain } from '../helpers/made-up-io.ts';

/** What bash offers for a line that ends where the cursor is. */
function offeredByBash(line: string): string[] {
  const words = line.split(' ');
  const script = [
    completionScript('bash', commands),
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
    `COMP_CWORD=${words.length - 1}`,
    '_redis_trib',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash's
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ].join('\n');
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.split('\n').filter((word) => word !== '');
}

/** True unless the shell is here and refuses the script. */
function isAccepted(shell: string, args: readonly string[]): boolean {
  const { error, status } = spawnSync(shell, args, { encoding: 'utf8' });
  return error !== undefined || status === 0;
}

describe('completion', () => {
  test('bash completes names of commands', () => {
    assert.deepEqual(offeredByBash('redis-trib rep'), ['replicate']);
    assert.deepEqual(offeredByBash('redis-trib ').sort(), commands.map(({ name }) => name).sort());
  });

  test('bash completes the options of the command, written with dashes too', () => {
    assert.deepEqual(offeredByBash('redis-trib migrate-slots a:1 --res'), ['--resume']);
    assert.deepEqual(offeredByBash('redis-trib list a:1 --resu'), []);
    assert.ok(offeredByBash('redis-trib list --').includes('--tls'), 'connection options are offered');
  });

  test('every command and option is in the script of every shell', () => {
    for (const shell of SHELLS) {
      const script = completionScript(shell, commands);
      for (const { name, flags } of commands) {
        assert.ok(script.includes(name), `${shell} lacks ${name}`);
        for (const flag of Object.keys(flags ?? {}))
          assert.ok(script.includes(flag), `${shell} lacks --${flag}`);
      }
    }
  });

  test('zsh and fish can read theirs, where they are installed', () => {
    assert.ok(isAccepted('zsh', ['-n', '-c', completionScript('zsh', commands)]), 'zsh refuses the script');
    assert.ok(
      isAccepted('fish', ['--no-execute', '-c', completionScript('fish', commands)]),
      'fish refuses the script',
    );
  });

  test('the command prints it, and refuses other shells', async () => {
    const { code, stdout } = await runMain(['completion', 'fish']);
    assert.equal(code, 0);
    assert.equal(stdout, `${completionScript('fish', commands)}\n`);
    assert.equal((await runMain(['completion', 'csh'])).code, 2);
  });
});
