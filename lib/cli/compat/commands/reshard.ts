import { ClusterError, notApproved } from '../../../errors.ts';
import type { NodeRecord } from '../../../model/node.ts';
import { reshardTable } from '../../../plan/redis-cli-moves.ts';
import { textOf, wholeOf } from '../arguments.ts';
import { mastersInOrder } from '../lines.ts';
import { movingLine, reshardPlanLines } from '../move-lines.ts';
import { ask, confirm, operation, requireSane, type Scene, say, sayError, withCluster } from '../scene.ts';
import type { Words } from '../words.ts';

/** Invalid answers before giving up: a pipe may have no valid one. */
const MOST_ANSWERS = 10;

export function runReshard(scene: Scene): Promise<boolean> {
  const { read } = scene;
  const given = wholeOf(read, 'slots', 1);
  return withCluster(scene, read.words, async (cluster) => {
    const { result, words } = await requireSane(scene, cluster, 'resharding');
    const masters = mastersInOrder(result.view);
    const count = given ?? (await askSlots(scene));
    const target = await findTarget(scene, masters, words);
    const sources = await findSources(scene, masters, target, words);
    const table = reshardTable(sources, count);
    say(scene, ...reshardPlanLines(result.view, { count, sources, target, table }, words));
    if (table.length === 0) {
      throw new ClusterError('SLOTS_NOT_HELD', 'Cannot reshard: the sources have no slots', {
        hint: 'Nothing was changed. Name masters that have slots',
      });
    }
    await confirm(scene, 'Do you want to proceed with the proposed reshard plan (yes/no)? ');
    const bySlot = new Map(table.map(({ slot, source }) => [slot, source]));
    const options = operation(scene, (event) => {
      if (event.type !== 'slots-closed') return;
      for (const slot of event.slots) {
        const source = bySlot.get(slot);
        if (source) say(scene, movingLine(slot, source, target, words));
      }
    });
    const moves = [...new Set(bySlot.values())].map((source) => ({
      sourceId: source.id,
      targetId: target.id,
      slots: table.filter((item) => item.source === source).map(({ slot }) => slot),
    }));
    const { movePlanned } = await import('../../../operations/move-planned.ts');
    await movePlanned(cluster, 'reshard', moves, options);
    return true;
  });
}

async function askSlots(scene: Scene): Promise<number> {
  for (let count = 0; count < MOST_ANSWERS; count++) {
    const text = await ask(scene, 'How many slots do you want to move (from 1 to 16384)? ');
    if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= 16384) return Number(text);
  }
  throw notUnderstood();
}

async function findTarget(scene: Scene, masters: readonly NodeRecord[], words: Words): Promise<NodeRecord> {
  const given = textOf(scene.read, 'to');
  if (given !== undefined) return masterOf(masters, given) ?? unknown(scene, given, words);
  for (let count = 0; count < MOST_ANSWERS; count++) {
    const text = await ask(scene, 'What is the receiving node ID? ');
    const found = masterOf(masters, text);
    if (found) return found;
    say(scene, unknownLine(text, words));
  }
  throw notUnderstood();
}

async function findSources(
  scene: Scene,
  masters: readonly NodeRecord[],
  target: NodeRecord,
  words: Words,
): Promise<NodeRecord[]> {
  const others = masters.filter((node) => node !== target);
  const given = textOf(scene.read, 'from');
  if (given === 'all') return others;
  if (given !== undefined) {
    const names = given.split(',').filter((name) => name !== '');
    const found = names.map((name) => masterOf(masters, name) ?? unknown(scene, name, words));
    if (found.includes(target)) throw sameNode(scene);
    return [...new Set(found)];
  }
  say(
    scene,
    'Please enter all the source node IDs.',
    "  Type 'all' to use all the nodes as source nodes for the hash slots.",
    "  Type 'done' once you entered all the source nodes IDs.",
  );
  const found = new Set<NodeRecord>();
  for (let wrong = 0; wrong < MOST_ANSWERS; ) {
    const text = await ask(scene, `Source node #${found.size + 1}: `);
    if (text === 'all') return others;
    if (text === 'done') {
      if (found.size > 0) return [...found];
      sayError(
        scene,
        '*** No source nodes given, operation aborted.',
        notApproved('No source nodes were given'),
      );
    }
    const node = masterOf(masters, text);
    if (node && node !== target) {
      found.add(node);
      continue;
    }
    wrong += 1;
    say(scene, node ? SAME_LINE : unknownLine(text, words));
  }
  throw notUnderstood();
}

const SAME_LINE = '*** It is not possible to use the target node as source node.';

function masterOf(masters: readonly NodeRecord[], name: string): NodeRecord | undefined {
  return masters.find(({ id }) => id === name.toLowerCase());
}

function unknownLine(name: string, words: Words): string {
  return `*** The specified node (${name}) is not known or not a ${words.master}, please retry.`;
}

function unknown(scene: Scene, name: string, words: Words): never {
  const error = new ClusterError('NOT_SAME_CLUSTER', `No master of the cluster has the id "${name}"`, {
    hint: 'Nothing was changed. Write the whole id of a master, as check shows it',
  });
  sayError(scene, unknownLine(name, words), error);
}

function sameNode(scene: Scene): never {
  const error = new ClusterError('SAME_NODE', 'Same node: it cannot both give and receive slots', {
    hint: 'Nothing was changed. Leave it out of the sources',
  });
  sayError(scene, SAME_LINE, error);
}

function notUnderstood(): ClusterError {
  return notApproved(`${MOST_ANSWERS} answers could not be understood`);
}
