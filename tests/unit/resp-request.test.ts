import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Command } from '../../resp/index.ts';
import { commandName } from '../../resp/request.ts';

describe('commandName()', () => {
  const cases: readonly [name: string, command: Command][] = [
    ['GET', ['GET', 'key']],
    ['CLUSTER SETSLOT', ['CLUSTER', 'SETSLOT', 5, 'STABLE']],
    ['cluster nodes', ['cluster', 'nodes']],
    ['CONFIG SET', ['CONFIG', 'SET', 'requirepass', 'secret']],
    ['CLIENT LIST', [Buffer.from('CLIENT'), Buffer.from('LIST')]],
    ['CLUSTER', ['CLUSTER']],
    ['', []],
  ];
  for (const [name, command] of cases)
    test(`is "${name}" for ${command.join(' ')}`, () => assert.equal(commandName(command), name));

  test('shows no second word that is not a known subcommand, since it may be secret', () => {
    assert.equal(commandName(['AUTH', 'secret']), 'AUTH');
    assert.equal(commandName(['ACL', 'secret']), 'ACL');
    assert.equal(commandName(['CONFIG', 'secret']), 'CONFIG');
    assert.equal(commandName(['CONFIG', 5]), 'CONFIG');
    assert.equal(commandName(['constructor', 'secret']), 'constructor');
  });
});
