/**
 * Runs an operation of the built library in a process of its own, and prints how long it took without the start of the process. A dry
 * run first loads the code, which the library loads on demand.
 */
import { nowMs } from './clock.mjs';

const { library, verb, args, options: given } = JSON.parse(process.argv[2]);
// JSON cannot express Infinity.
const options = given.maxStall === 'off' ? { ...given, maxStall: Number.POSITIVE_INFINITY } : given;
const operation = (await import(library))[verb];
const methods = new Set();
let [began, ended] = [0, 0];
const onEvent = (event) => {
  if (event.type === 'move-start') {
    began ||= nowMs();
    methods.add(event.method);
  }
  if (event.type === 'move-done') ended = nowMs();
};
await operation(...args, { ...options, dryRun: true });
const from = nowMs();
await operation(...args, { ...options, onEvent });
const to = nowMs();
console.log(JSON.stringify({ from, to, movingMs: ended - began, methods: [...methods] }));
