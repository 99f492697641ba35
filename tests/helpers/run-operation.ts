// Runs one operation of the library in a process of its own, which kills itself when it writes to a socket for the
// nth time. Arguments: its name, its arguments as JSON, and n, 0 for never.
import net from 'node:net';
import process from 'node:process';
import * as lib from '../../lib/index.ts';

const [, , name = '', json = '[]', killAt = '0'] = process.argv;

const { write } = net.Socket.prototype;
let writes = 0;
net.Socket.prototype.write = function (this: net.Socket, ...args: Parameters<typeof write>): boolean {
  const result = write.apply(this, args);
  if (++writes === Number(killAt)) process.kill(process.pid, 'SIGKILL');
  return result;
} as typeof write;

const operation = (lib as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[name];
if (!operation) throw new Error(`No operation "${name}"`);

// An error is data here: the test decides whether it is the right one
await operation(...(JSON.parse(json) as unknown[])).then(
  () => process.stdout.write('{"ok":true}'),
  (error: Error & { code?: string }) =>
    process.stdout.write(JSON.stringify({ ok: false, code: error.code, message: error.message })),
);
