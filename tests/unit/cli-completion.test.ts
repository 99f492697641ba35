import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { commands } from '../../lib/cli/commands.ts';
import { compatArity, compatOptions } from '../../lib/cli/compat/options.ts';
import { completionScript, SHELLS } from '../../lib/cli/completion.ts';
import { helpWords, sectionsOfTopics } from '../../lib/cli/topics.ts';
import { runMain } from '../helpers/made-up-io.ts';

const offers = {
  commands,
  topics: helpWords,
  sections: sectionsOfTopics(),
  cluster: { commands: Object.keys(compatArity), options: Object.keys(compatOptions) },
};

/** What bash offers at the end of a line. A colon separates words for it. Before that, it runs the lines of a setting. */
function offeredByBash(line: string, ...setting: string[]): string[] {
  const words = line.split(/ |(?<=:)|(?=:)/);
  const script = [
    completionScript('bash', offers),
    ...setting,
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
    `COMP_CWORD=${words.length - 1}`,
    `COMP_LINE='${line}' COMP_POINT=${line.length}`,
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
    assert.deepEqual(offeredByBash('redis-trib help findings keys'), ['keys-stray', 'keys-uncounted']);
    assert.deepEqual(offeredByBash('redis-trib help errors OPEN_'), ['OPEN_SLOT']);
    assert.deepEqual(offeredByBash('redis-trib completion '), [...SHELLS]);
  });

  describe('bash completes nodes', () => {
    /** In place of the program: two nodes of the cluster at each address, which is also named. */
    const LISTS =
      'redis-trib() { printf "Total 2 nodes\\nM  10.0.0.1:7000 myself\\n S 10.0.0.2:7001 $6\\n"; }';
    const ECHOES = 'redis-trib() { echo "M  $6"; }';

    test('of the cluster that the line names', () => {
      assert.deepEqual(offeredByBash('redis-trib replicate 10.0.0.1:7000 ', LISTS), [
        '10.0.0.1:7000',
        '10.0.0.2:7001',
      ]);
      assert.deepEqual(offeredByBash('redis-trib replicate a:1 ', ECHOES), ['a:1']);
      assert.deepEqual(offeredByBash('redis-trib reshard a:1 --to ', ECHOES), ['a:1']);
    });

    test('from what stands behind a colon, if that separates words', () => {
      assert.deepEqual(offeredByBash('redis-trib check 10.0.0.2:70', LISTS), ['7001']);
      assert.deepEqual(offeredByBash('redis-trib check 10.0.0.2:70', LISTS, 'COMP_WORDBREAKS=" "'), [
        '10.0.0.2:7001',
      ]);
    });

    test('of the cluster that an earlier line names, if this one does not', () => {
      const earlier = [
        'set -o history',
        ...['redis-trib list a:1', 'redis-trib check b:2 --zone c:3=d', 'ssh e:4', 'redis-trib help'].map(
          (line) => `history -s '${line}'`,
        ),
      ];
      assert.deepEqual(offeredByBash('redis-trib check ', ECHOES, ...earlier), ['b:2']);
    });

    test('but not where a file or another value belongs', () => {
      assert.deepEqual(offeredByBash('redis-trib apply ', ECHOES), []);
      assert.deepEqual(offeredByBash('redis-trib check a:1 --from ', ECHOES), []);
      assert.deepEqual(offeredByBash('redis-trib reshard a:1 --slots ', ECHOES), []);
    });
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
