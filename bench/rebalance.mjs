// How long it takes to plan a rebalance: node --import tsx bench/rebalance.mjs
import { SLOT_COUNT, toRanges } from '../lib/model/slot.ts';
import { planRebalance } from '../lib/plan/rebalance.ts';

const RUNS = 7;

/** Pseudorandom numbers, the same in every run. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function cluster(masters) {
  const random = dice(masters);
  const held = Array.from({ length: masters }, () => []);
  for (let slot = 0, owner = 0; slot < SLOT_COUNT; slot++) {
    if (random() < 0.1) owner = Math.floor(random() ** 2 * masters);
    held[slot < masters ? slot : owner].push(slot);
  }
  return held.map((slots, index) => ({
    node: {
      id: index.toString(16).padStart(40, '0'),
      address: { host: '10.0.0.1', port: 1000 + index },
      slots: toRanges(slots),
    },
    weight: 1,
  }));
}

const kinds = {
  slots: () => undefined,
  'even loads': (random) => 90 + Math.floor(random() * 20),
  'uneven loads': (random) => Math.floor(1 / (random() + 1e-6) ** 1.2),
  'few loaded slots': (random) => (random() < 0.02 ? Math.floor(random() * 100) : 0),
};

for (const masters of [3, 100, 1000]) {
  for (const [kind, of] of Object.entries(kinds)) {
    const random = dice(7);
    const loads =
      kind === 'slots' ? {} : { loads: Float64Array.from({ length: SLOT_COUNT }, () => of(random)) };
    const request = { masters: cluster(masters), threshold: 2, ...loads };
    const times = Array.from({ length: RUNS }, () => {
      const started = performance.now();
      planRebalance(request);
      return performance.now() - started;
    }).sort((a, b) => a - b);
    console.log(`${masters} masters, ${kind}: ${times[RUNS >> 1].toFixed(1)} ms`);
  }
}
