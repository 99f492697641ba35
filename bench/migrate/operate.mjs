/**
 * An operation by the built library, in a process of its own; says how long it took without the process's start. A dry run comes
 * before: in a program that uses the library its code is loaded when it is needed.
 */
import { nowMs } from './clock.mjs';

const { library, verb, args, options } = JSON.parse(process.argv[2]);
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
// JSON has no Infinity.
const maxStall = options.maxStall === 'off' ? { maxStall: Number.POSITIVE_INFINITY } : {};
await operation(...args, { ...options, dryRun: true });
const from = nowMs();
await operation(...args, { ...options, ...maxStall, onEvent });
const to = nowMs();
console.log(JSON.stringify({ from, to, movingMs: ended - began, methods: [...methods] }));
