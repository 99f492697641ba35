import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { KeyMover } from '../../lib/move/by-migrate/key-mover.ts';
import { settingsOf } from '../../lib/settings.ts';

const SLOTS = Array.from({ length: 40 }, (_, slot) => slot);
const KEYS_IN_SLOT = 10;
/** Far enough that as many lanes are wanted as there may be. */
const AWAY = 1000;

test('lanes that find nothing to move do not start others', async () => {
  const left = new Map(
    SLOTS.map((slot) => [slot, Array.from({ length: KEYS_IN_SLOT }, (_, key) => `${slot} ${key}`)]),
  );
  const answer = ([first, second, slot]: readonly unknown[]): unknown => {
    if (first === 'INFO') return '# Keyspace\r\n';
    const keys = left.get(Number(slot)) ?? [];
    return second === 'GETKEYSINSLOT' ? [...keys] : keys.length;
  };
  const connections = {
    ask: async (_: unknown, command: readonly unknown[]) => answer(command),
    askAll: async (_: unknown, commands: readonly (readonly unknown[])[]) => commands.map(answer),
  };
  let [batches, asked] = [0, 0];
  const mover = new KeyMover({
    ends: {
      context: { connections, settings: settingsOf({}), signal: undefined },
      source: { address: '127.0.0.1:1' },
      sourceAddress: { host: '127.0.0.1', port: 1 },
    },
    mover: {
      leftovers: { conflicts: [] },
      move: async (lane: { roundTripMs: number }, { slot, keys }: { slot: number; keys: string[] }) => {
        batches += 1;
        await setImmediate();
        lane.roundTripMs = AWAY;
        left.set(
          slot,
          (left.get(slot) ?? []).filter((key) => !keys.includes(key)),
        );
        return { gone: keys.length, stallMs: 1 };
      },
    },
    bigKeys: new Map(),
    throttle: {
      limitsBytes: false,
      get mostKeys() {
        asked += 1;
        return KEYS_IN_SLOT;
      },
      admit: async () => {},
    },
  } as unknown as ConstructorParameters<typeof KeyMover>[0]);
  await mover.run(SLOTS);
  assert.equal([...left.values()].flat().length, 0);
  // Each batch starts one lane at most, and each lane asks once in vain at most.
  assert.ok(asked <= 2 * batches + 1, `${asked} times for ${batches} batches`);
});
