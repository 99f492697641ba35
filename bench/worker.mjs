/** One candidate in a process of its own: prepares a row when told to, then measures it as often as asked. */
const [suite, candidate, context] = process.argv.slice(2);
const { prepare } = await import(suite);
let prepared;

/** Processor time if nothing has to be waited for: other work on the machine disturbs that less. */
async function rate({ run }, ms) {
  const started = performance.now();
  const cpu = process.cpuUsage();
  let units = 0;
  let waits = false;
  let elapsed;
  do {
    let done = run();
    if (typeof done !== 'number') {
      waits = true;
      done = await done;
    }
    units += done;
    elapsed = performance.now() - started;
  } while (elapsed < ms);
  if (waits) return (units / elapsed) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  return (units / (user + system)) * 1e6;
}

process.on('message', async ({ row, ms }) => {
  if (row !== undefined) {
    await prepared?.close();
    prepared = await prepare(candidate, row, JSON.parse(context));
  }
  process.send(await (prepared.measure?.() ?? rate(prepared, ms)));
});
