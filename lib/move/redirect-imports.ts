import { formatAddress, parseAddress } from '../model/address.ts';
import { claimsBySlot, expandSlots } from '../model/slot.ts';
import { mastersByRank, type NodeReport } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { inParallel } from '../nodes/parallel.ts';
import { askServer } from '../nodes/server.ts';
import type { Plan } from '../plan/plan.ts';
import { awaitLatePackets } from './late-packets.ts';
import { hintOn, setSlotsAt } from './set-slot.ts';

/**
 * Makes imports harmless if a Valkey node imports from a node that does not own the slot. As soon as that node claims other
 * slots, Valkey 8.0 and newer take the imported one, with a config epoch above all others (clusterUpdateSlotsConfigWith), and its
 * owner then deletes the keys. So this runs before a plan changes any slot.
 * Rejects with ClusterError `OPEN_SLOT` if a node refuses. Rule 31 (docs/moving-slots.md).
 */
export async function redirectImports(context: Context, plan: Plan): Promise<void> {
  const answers = await inParallel(plan.masters, ({ address }) =>
    askNode(context.connections, parseAddress(address)).catch(() => undefined),
  );
  const reports = answers.filter((report) => report !== undefined);
  const sources = importSources(reports, plan);
  await inParallel(reports, async (report) => {
    const own = sources.get(report.myself.id);
    if (own) await tell(context, report, own, reports);
  });
}

/**
 * By node and slot: the node to import from instead, which is the owner, since it always claims the slot. Absent if the plan
 * gives the slot to another node, which must then be the only one, or closes it here: a mark that names the owner would look like a move
 * to whoever finds it after a kill.
 */
export function importSources(
  reports: readonly NodeReport[],
  { steps }: Pick<Plan, 'steps'>,
): Map<string, Map<number, string | undefined>> {
  const answering = new Set(reports.map(({ myself }) => myself.id));
  const claimants = claimsBySlot(mastersByRank({ nodes: reports.map(({ myself }) => myself) }));
  const planned = plannedOwners(steps);
  const closing = closedAt(steps);
  const sources = new Map<string, Map<number, string | undefined>>();
  for (const { myself, records } of reports) {
    const own = new Map<number, string | undefined>();
    const believed = claimsBySlot(records);
    for (const { slot, direction, peer } of myself.openSlots) {
      if (direction !== 'importing') continue;
      const next = planned.get(slot);
      // An owner that does not answer is known from others' reports. One that answers and does not claim the slot is not the
      // owner.
      const hearsay = answering.has(believed[slot] ?? '') ? undefined : believed[slot];
      const owner = claimants[slot] ?? hearsay;
      if (next !== undefined && next !== myself.id) own.set(slot, undefined);
      else if (owner !== undefined && owner !== peer && owner !== myself.id)
        own.set(slot, closing.has(`${myself.id} ${slot}`) ? undefined : owner);
    }
    if (own.size > 0) sources.set(myself.id, own);
  }
  return sources;
}

/** By slot: the node that will own it. */
function plannedOwners(steps: Plan['steps']): Map<number, string> {
  const planned = new Map<number, string>();
  for (const step of steps) {
    if (step.type !== 'move-slots' && step.type !== 'take-slots') continue;
    const { id } = step.type === 'move-slots' ? step.target : step.node;
    for (const slot of expandSlots(step.slots)) planned.set(slot, id);
  }
  return planned;
}

/** Nodes and slots that the plan closes there. */
function closedAt(steps: Plan['steps']): Set<string> {
  return new Set(
    steps.flatMap((step) =>
      step.type === 'close-slots' && !step.stayOpen
        ? expandSlots(step.slots).map((slot) => `${step.node.id} ${slot}`)
        : [],
    ),
  );
}

async function tell(
  context: Context,
  { address, myself }: NodeReport,
  sources: ReadonlyMap<number, string | undefined>,
  reports: readonly NodeReport[],
): Promise<void> {
  const { capabilities } = await askServer(context.connections, address);
  if (!capabilities.takesImportedSlots) return;
  const slots = [...sources.keys()];
  const name = formatAddress(address);
  const importer = { id: myself.id, address: name };
  const owners = new Set(sources.values());
  const answering = reports.filter((one) => owners.has(one.myself.id));
  await inParallel(answering, (owner) => awaitLatePackets(context, importer, owner));
  const { refusals } = await setSlotsAt(context, importer, slots, (slot) => {
    const source = sources.get(slot);
    return [source === undefined ? ['STABLE'] : ['IMPORTING', source]];
  });
  const [refused] = refusals;
  if (!refused) return;
  throw nodeError('OPEN_SLOT', name, `Cannot change what ${name} imports: ${refused.error.message}`, {
    cause: refused.error,
    openSlots: slots,
    resumable: 'same-call',
    hint: hintOn(refused, name),
    next: [{ do: 'retry', when: 'repaired' }],
  });
}
