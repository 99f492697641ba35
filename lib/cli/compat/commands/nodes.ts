import { ClusterError } from '../../../errors.ts';
import { formatAddress } from '../../../model/address.ts';
import type { NodeRecord } from '../../../model/node.ts';
import type { Cluster } from '../../../operations/cluster.ts';
import type { Joining } from '../../../operations/joining.ts';
import { readAddress, textOf } from '../arguments.ts';
import { placeOf } from '../create-lines.ts';
import { mastersInOrder, nameOf, nodesInOrder, replicaCount } from '../lines.ts';
import { examine, operation, requireSane, type Scene, say, sayError, withCluster } from '../scene.ts';

export function runAddNode(scene: Scene): Promise<boolean> {
  const { read } = scene;
  const [added, existing] = read.words.map(readAddress) as [string, string];
  const place = placeOf(added);
  return withCluster(scene, [existing], async (cluster) => {
    say(scene, `>>> Adding node ${place} to cluster ${placeOf(existing)}`);
    const { result, words } = await requireSane(scene, cluster, undefined);
    const id = textOf(read, 'master-id');
    const isReplica = read.values.replica === true;
    const masters = mastersInOrder(result.view);
    const named = id === undefined ? undefined : masters.find((node) => node.id === id.toLowerCase());
    if (isReplica && id !== undefined && !named) {
      const error = new ClusterError('NOT_SAME_CLUSTER', `No master of the cluster has the id "${id}"`, {
        hint: 'Nothing was changed',
        next: [{ do: 'check', cluster: formatAddress(result.view.seed) }],
      });
      sayError(scene, `[ERR] No such ${words.master} ID ${id}`, error);
    }
    // Chosen from what is seen once no other operator is active.
    const choose = ({ view, node }: Joining): NodeRecord => {
      const now = mastersInOrder(view).filter(({ id: own }) => own !== node.id);
      const members = nodesInOrder(view);
      const [fewest] = now.toSorted((a, b) => replicaCount(members, a.id) - replicaCount(members, b.id));
      if (!fewest) throw new ClusterError('NODE_UNREACHABLE', 'Cannot add a replica: no master answers');
      master = fewest;
      say(scene, `Automatically selected ${words.master} ${nameOf(fewest)}`);
      return fewest;
    };
    let master = isReplica ? named : undefined;
    let isMet = false;
    const takesFunctions = !isReplica && (await knowsFunctions(cluster));
    const options = operation(scene, (event) => {
      if (event.type === 'plan' && takesFunctions) {
        say(
          scene,
          '>>> Getting functions from cluster',
          `>>> Send FUNCTION LIST to ${place} to verify there is no functions in it`,
          `>>> Send FUNCTION RESTORE to ${place}`,
        );
      } else if (event.type === 'node-meet' && !isMet) {
        isMet = true;
        say(scene, `>>> Send CLUSTER MEET to node ${place} to make it join the cluster.`);
        if (isReplica) say(scene, 'Waiting for the cluster to join', '');
      } else if (event.type === 'replica-set' && master) {
        say(scene, `>>> Configure node as replica of ${nameOf(master)}.`);
      }
    });
    const { addNode, addReplicaOf } = await import('../../../operations/add-node.ts');
    try {
      if (isReplica && !named) await addReplicaOf(cluster, added, choose, options);
      else {
        const made = await addNode(cluster, added, { ...options, ...(named ? { replicaOf: named.id } : {}) });
        if (made.plan.steps.length === 0) throw isMember(added);
      }
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      if (error.next.some(({ command: [word] = [] }) => word === 'FUNCTION')) {
        const line = '[ERR] New node already contains functions and can not be added to the cluster.';
        sayError(scene, line, error);
      }
      if (error.code === 'ALREADY_IN_CLUSTER' || error.code === 'NODE_NOT_EMPTY') {
        sayError(
          scene,
          `[ERR] Node ${place} is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or contains some key in database 0.`,
          error,
        );
      }
      throw error;
    }
    say(scene, '[OK] New node added correctly.');
    return true;
  });
}

// redis-cli refuses a member, whatever it is.
function isMember(address: string): ClusterError {
  const message = `Node ${address} is already in the cluster, as it would be added`;
  return new ClusterError('ALREADY_IN_CLUSTER', message, { address, hint: 'Nothing was changed' });
}

// Servers before 7.0 do not have functions.
async function knowsFunctions(cluster: Cluster): Promise<boolean> {
  const { execute } = await import('../../../operations/execute.ts');
  const answers = await execute(cluster, ['FUNCTION', 'LIST'], { mastersOnly: true });
  return answers.some(({ error }) => error === null);
}

export function runDelNode(scene: Scene): Promise<boolean> {
  const [node = '', id = ''] = scene.read.words;
  return withCluster(scene, [node], async (cluster) => {
    say(scene, `>>> Removing node ${id} from cluster ${placeOf(readAddress(node))}`);
    const { result, words } = await examine(scene, cluster);
    const found = result.view.nodes.find((one) => one.id === id.toLowerCase());
    if (!found) {
      const error = new ClusterError('NOT_SAME_CLUSTER', `No node of the cluster has the id "${id}"`, {
        hint: 'Nothing was changed',
        next: [{ do: 'check', cluster: formatAddress(result.view.seed) }],
      });
      sayError(scene, `[ERR] No such node ID ${id}`, error);
    }
    let isForgetting = false;
    const options = operation(scene, (event) => {
      if (event.type === 'replica-set') {
        say(scene, `>>> ${placeOf(event.node)} as replica of ${placeOf(event.master)}`);
      } else if (event.type === 'node-forget' && !isForgetting) {
        isForgetting = true;
        say(scene, '>>> Sending CLUSTER FORGET messages to the cluster...');
      } else if (event.type === 'node-reset') {
        say(scene, '>>> Sending CLUSTER RESET HARD to the deleted node.');
      }
    });
    const { delNode: remove } = await import('../../../operations/del-node.ts');
    try {
      await remove(cluster, found.id, options);
    } catch (error) {
      const isRefused =
        error instanceof ClusterError &&
        (error.code === 'NODE_NOT_EMPTY' || (error.code === 'LAST_NODE' && found.slots.length > 0));
      if (!isRefused) throw error;
      sayError(scene, `[ERR] Node ${nameOf(found)} is not empty! Reshard data away and try again.`, error);
    }
    if (words.confirmsRemoval) say(scene, `[OK] Node ${found.id} removed from the cluster.`);
    return true;
  });
}
