// A cluster on this machine, created, changed and removed by the command line: `npm run demo`.
import { spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { execute, keySlot, listMasters } from '../lib/index.ts';
import { connect } from '../resp/index.ts';
import { openBed } from './bed/index.ts';

const KEYS = 100_000;
const cli = fileURLToPath(new URL('../cli.ts', import.meta.url));

function heading(text: string): void {
  console.log(`\n# ${text}`);
}

/** Runs redis-trib as a user would, its output on this terminal. Rejects unless it exits with 0. */
async function trib(...args: string[]): Promise<void> {
  console.log(`$ redis-trib ${args.join(' ')}`);
  const child = spawn(process.execPath, ['--import', 'tsx', cli, ...args], { stdio: 'inherit' });
  const status = await new Promise((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal)),
  );
  if (status !== 0) throw new Error(`redis-trib ${args[0]} ended with ${status}`);
}

/** Sets keys, each on the master that owns its slot. */
async function load(seed: string): Promise<void> {
  const { nodes } = await listMasters(seed);
  const owners = new Map(nodes.flatMap((node) => node.assignedSlots.map((slot) => [slot, node])));
  const byPort = new Map(nodes.map((node) => [node.port, [] as string[][]]));
  for (let number = 0; number < KEYS; number++) {
    const key = `user:${number}`;
    byPort.get(owners.get(keySlot(key))?.port ?? 0)?.push(['SET', key, 'x'.repeat(100)]);
  }
  await Promise.all(
    nodes.map(async ({ host, port }) => {
      await using connection = await connect({ host, port });
      await connection.pipeline(byPort.get(port) ?? []);
    }),
  );
}

async function countKeys(seed: string): Promise<number> {
  const results = await execute(seed, ['DBSIZE'], { mastersOnly: true });
  return results.reduce((sum, { result }) => sum + Number(result), 0);
}

const started = performance.now();
heading('Starting real servers on this machine');
await using bed = await openBed();
const nodes = await bed.start(5);
const [a = '', b = '', c = '', d = '', e = ''] = nodes.map(({ address }) => address);
console.log(
  `5 nodes of ${bed.server.kind} ${bed.server.version}: ${nodes.map(({ port }) => port).join(', ')}`,
);

heading('Three of them become a cluster');
await trib('create', a, b, c, '--yes');
await trib('list', a);

heading(`${KEYS} keys of 100 bytes are loaded, and a fourth master joins: slots and keys move to it`);
await load(a);
await trib('join', a, d);
await trib('list', a);

heading('The fifth node becomes a replica of the first');
await trib('replicate', a, e);

heading('Some slots move by hand, after a look at the plan');
await trib('migrate_slots', '--dry-run', b, d, '8000-8099', '9000');
await trib('migrate_slots', b, d, '8000-8099', '9000');

heading('The fourth master leaves again: its slots go to the others');
await trib('quit', d);

heading('Is the cluster healthy, and is every key still there?');
await trib('check', a);
await trib('execute', '--master-only', a, 'DBSIZE');
const left = await countKeys(a);
if (left !== KEYS) throw new Error(`${left} keys are left of ${KEYS}`);
console.log(`${left} keys of ${KEYS}: all there`);

await bed.close();
heading(
  `Done in ${((performance.now() - started) / 1000).toFixed(0)} s; the servers are stopped and their files removed`,
);
