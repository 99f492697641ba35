import { LARGEST_INT } from '../../../model/numbers.ts';
import { UsageError } from '../../io.ts';
import { nodeIn, readAddress } from '../arguments.ts';
import { placeOf } from '../create-lines.ts';
import { showReply } from '../reply.ts';
import { examine, isSane, operation, type Scene, say, showCheck, showInfo, withCluster } from '../scene.ts';

export function runCheck(scene: Scene): Promise<boolean> {
  return withCluster(scene, scene.read.words, async (cluster) => {
    const owners = scene.read.values['search-multiple-owners'] === true;
    const examined = await examine(scene, cluster, false);
    showInfo(scene, examined);
    showCheck(scene, examined, false, owners);
    const { result, found } = examined;
    const isWell = isSane(found) && found.contested.size === 0;
    // Errors that redis-cli does not look for. Only if it finds nothing itself, since they may have the same cause.
    if (isWell && !result.ok) {
      const errors = result.findings.filter(({ severity }) => severity === 'error');
      say(scene, ...errors.map(({ message }) => `[ERR] ${message}`));
    }
    return isWell && result.ok;
  });
}

export function runInfo(scene: Scene): Promise<boolean> {
  return withCluster(scene, scene.read.words, async (cluster) => {
    const examined = await examine(scene, cluster, false);
    showInfo(scene, examined);
    const { view, details } = examined.result;
    const silent = view.nodes.filter(
      ({ id, role }) => role === 'master' && (!view.reports.has(id) || details.get(id) instanceof Error),
    );
    say(scene, ...silent.map(({ address }) => `[ERR] ${address.host}:${address.port} does not answer`));
    return silent.length === 0;
  });
}

export function runCall(scene: Scene): Promise<boolean> {
  const [node = '', ...command] = scene.read.words;
  return withCluster(scene, [node], async (cluster) => {
    const { values } = scene.read;
    const mastersOnly = values['only-masters'] === true;
    const replicasOnly = values['only-replicas'] === true;
    say(scene, `>>> Calling ${command.join(' ')}`);
    const examined = await cluster.view();
    const listed = (examined.reports.get(examined.seedId)?.records ?? []).map(({ id }) => id);
    const order = new Map([examined.seedId, ...listed].reverse().map((id, index) => [id, -index]));
    order.set(examined.seedId, Number.NEGATIVE_INFINITY);
    const { execute } = await import('../../../operations/execute.ts');
    const results = await execute(cluster, command, { mastersOnly, replicasOnly });
    const sorted = results.toSorted(
      (a, b) => (order.get(a.node.nodeId) ?? 0) - (order.get(b.node.nodeId) ?? 0),
    );
    for (const { node: of, result, error } of sorted) {
      say(scene, `${placeOf(of.addr())}: ${error ? `${error.message}\n` : showReply(result)}`);
    }
    return results.every(({ error }) => error === null);
  });
}

export async function runSetTimeout(scene: Scene): Promise<boolean> {
  const [node = '', text = ''] = scene.read.words;
  const address = nodeIn([readAddress(node)]);
  const ms = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(ms >= 100 && ms <= LARGEST_INT)) {
    throw new UsageError('Setting a node timeout of less than 100 milliseconds is a bad idea.');
  }
  say(scene, '>>> Reconfiguring node timeout in every cluster node...');
  const { setNodeTimeout } = await import('../../../operations/set-node-timeout.ts');
  const { nodes, ok } = await setNodeTimeout(address, ms, operation(scene));
  for (const { address: of, error, after, isSaved } of nodes) {
    const failed = error ?? (after === null || !isSaved ? new Error('not set') : undefined);
    say(
      scene,
      failed
        ? `ERR setting node-timeout for ${placeOf(of)}: ${failed.message}`
        : `*** New timeout set for ${placeOf(of)}`,
    );
  }
  const failed = nodes.filter(({ error, isSaved }) => error !== null || !isSaved).length;
  say(scene, `>>> New node timeout set. ${nodes.length - failed} OK, ${failed} ERR.`);
  return ok && failed === 0;
}
