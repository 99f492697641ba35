import type { ConnectionOptions } from '../../../options.ts';
import { count } from '../../figures.ts';
import { connectionOptions } from '../../flags.ts';
import { UsageError } from '../../io.ts';
import { readAddress, textOf } from '../arguments.ts';
import { familyOf } from '../connection.ts';
import { placeOf } from '../create-lines.ts';
import { operation, requireSane, type Scene, say, withCluster } from '../scene.ts';

/** The only database that redis-cli imports. */
const DATABASE = 0;

export function runImport(scene: Scene): Promise<boolean> {
  const { read } = scene;
  const from = textOf(read, 'from');
  if (from === undefined) throw new UsageError("Option '--cluster-from' is required for subcommand 'import'");
  const source = readAddress(from);
  return withCluster(scene, read.words, async (cluster) => {
    const reached = await sourceOptions(scene);
    say(scene, `>>> Importing data from ${placeOf(source)} to cluster ${placeOf(read.words.join(':'))}`);
    await requireSane(scene, cluster, undefined);
    const options = {
      ...operation(scene),
      source: reached,
      databases: [DATABASE],
      move: read.values.copy !== true,
      replace: read.values.replace === true,
    };
    const { importKeys } = await import('../../../operations/import-keys.ts');
    const { databases } = await importKeys(cluster, source, { ...options, dryRun: true });
    say(scene, `*** Importing ${databases[0]?.keys ?? 0} keys from DB ${DATABASE}`);
    const { keys, same } = await importKeys(cluster, source, options);
    say(scene, `[OK] ${count(keys + same, 'key')} imported.`);
    return true;
  });
}

async function sourceOptions({ read, io }: Scene): Promise<ConnectionOptions> {
  const own = { user: textOf(read, 'from-user'), pass: textOf(read, 'from-pass') };
  const askpass = read.values['from-askpass'] === true;
  // From a URL alone: redis-cli has no option for it.
  const tls = read.values['from-tls'] === true;
  const spelling = { prefix: '--cluster-from-', variable: '--cluster-from-pass', ways: ['askpass'] };
  return {
    ...(await connectionOptions({ ...own, askpass, tls }, { ...io, env: {} }, spelling)),
    ...familyOf(read),
  };
}
