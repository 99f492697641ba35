import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { commands } from '../../lib/cli/commands.ts';
import { compatArity, compatOptions } from '../../lib/cli/compat/options.ts';
import { completionScript, SHELLS } from '../../lib/cli/completion.ts';
import { helpWords } from '../../lib/cli/topics.ts';
import { runMain } from '../helpers/made-up-io.ts';

const offers = {
  commands,
  topics: helpWords,
  cluster: { commands: Object.keys(compatArity), options: Object.keys(compatOptions) },
};

/** What bash offers at the end of a line. */
function offeredByBash(line: string): string[] {
  const words = line.split(' ');
  const script = [
    completionScript('bash', offers),
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

/** False if the shell is installed and refuses the script. */
function isAccepted(shell: string, args: readonly string[]): boolean {
  const { error, status } = spawnSync(shell, args, { encoding: 'utf8' });
  return error !== undefined || status === 0;
}

describe('completion', () => {
  test('bash completes names of commands', () => {
    assert.deepEqual(offeredByBash('redis-trib repli'), ['replicate']);
    const all = [...commands.map(({ name }) => name), 'help', '--cluster'];
    assert.deepEqual(offeredByBash('redis-trib ').sort(), all.sort());
  });

  test('bash completes names of commands that are begun with a dash with dashes', () => {
    assert.deepEqual(offeredByBash('redis-trib migrate-'), ['migrate-slots']);
    assert.deepEqual(offeredByBash('redis-trib migrate_'), ['migrate_slots']);
    assert.deepEqual(offeredByBash('redis-trib --cl'), ['--cluster']);
  });

  test('bash completes values of options, if they are few words', () => {
    assert.deepEqual(offeredByBash('redis-trib join a:1 b:1 --method '), ['auto', 'atomic', 'migrate']);
    assert.deepEqual(offeredByBash('redis-trib rebalance a:1 --by c'), ['cpu']);
    assert.deepEqual(offeredByBash('redis-trib add-node a:1 b:1 --functions r'), ['replace', 'refuse']);
    assert.deepEqual(offeredByBash('redis-trib list a:1 --method '), []);
  });

  test('bash completes what help takes', () => {
    assert.deepEqual(offeredByBash('redis-trib help mov'), ['moving', 'moving-slots']);
    assert.deepEqual(offeredByBash('redis-trib help resh'), ['reshard']);
  });

  test("bash completes redis-cli's commands and options", () => {
    assert.deepEqual(offeredByBash('redis-trib --cluster re'), ['reshard', 'rebalance']);
    assert.deepEqual(offeredByBash('redis-trib --cluster ').sort(), Object.keys(compatArity).sort());
    assert.deepEqual(offeredByBash('redis-trib --cluster create a:1 --cluster-replicas'), [
      '--cluster-replicas',
    ]);
    assert.deepEqual(offeredByBash('redis-trib --tls --cluster che'), ['check']);
    assert.deepEqual(offeredByBash('redis-trib --cluster check '), []);
  });

  test('bash completes the options of the command, written with dashes too', () => {
    assert.deepEqual(offeredByBash('redis-trib migrate-slots a:1 --res'), ['--resume']);
    assert.deepEqual(offeredByBash('redis-trib list a:1 --resu'), []);
    assert.ok(offeredByBash('redis-trib list --').includes('--tls'), 'connection options are offered');
  });

  test('every command and option is in the script of every shell', () => {
    for (const shell of SHELLS) {
      const script = completionScript(shell, offers);
      for (const { name, flags } of commands) {
        assert.ok(script.includes(name), `${shell} lacks ${name}`);
        assert.ok(script.includes(name.replaceAll('_', '-')), `${shell} lacks ${name} with dashes`);
        for (const flag of Object.keys(flags ?? {}))
          assert.ok(script.includes(flag), `${shell} lacks --${flag}`);
      }
      for (const word of [...helpWords, ...Object.keys(compatArity), 'takeover', 'cluster-replicas'])
        assert.ok(script.includes(word), `${shell} lacks ${word}`);
    }
  });

  test('zsh and fish accept their scripts, if they are installed', () => {
    assert.ok(isAccepted('zsh', ['-n', '-c', completionScript('zsh', offers)]), 'zsh refuses the script');
    assert.ok(
      isAccepted('fish', ['--no-execute', '-c', completionScript('fish', offers)]),
      'fish refuses the script',
    );
  });

  test('the command prints it, and refuses other shells', async () => {
    const { code, stdout } = await runMain(['completion', 'fish']);
    assert.equal(code, 0);
    assert.equal(stdout, `${completionScript('fish', offers)}\n`);
    assert.equal((await runMain(['completion', 'csh'])).code, 2);
  });
});
