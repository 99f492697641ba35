import { formatAddress } from './address.ts';
import { hasLink, isFailed, type NodeRecord } from './node.ts';
import { type AddressAnswer, type ClusterView, type LoadingProgress, recordSeenBy } from './view.ts';

/**
 * The condition of a node, from its own answer, from what each member reports about it, and from what answers at each address
 * that a member lists for it. Only a node that is `dead` or `wiped` is gone; all others may hold the only copy of their keys.
 */
export type Condition =
  /** It answers with its id at every address that members list for it. */
  | { readonly kind: 'healthy' }
  /** It answers with its id, but some members list it elsewhere, or know no address for it. */
  | { readonly kind: 'moved'; readonly address: string; readonly misled: readonly string[] }
  /** It answers LOADING: it reads its data from disk. */
  | ({ readonly kind: 'loading'; readonly address: string } & Partial<LoadingProgress>)
  /**
   * It answers, and refuses what it is asked: `NOAUTH`, `WRONGPASS`, `NOPERM`, `TLS`, `NOT_CLUSTER_ENABLED`, or the first word of its
   * reply.
   */
  | { readonly kind: 'refuses-us'; readonly address: string; readonly code: string }
  /** It does not answer here, and most masters that answer have a link to it. */
  | { readonly kind: 'unreachable-from-here'; readonly linked: number; readonly masters: number }
  /** It does not answer here, and the cluster does not consider it failed. */
  | { readonly kind: 'silent' }
  /** Another member answers at its address, and nothing answers with its id. */
  | { readonly kind: 'stranger-at-its-address'; readonly address: string; readonly by: string }
  /**
   * A node that is alone and empty answers at its address under a new id, or most masters met another id there and have forgotten
   * the address. No member has a link to the old id.
   */
  | { readonly kind: 'wiped'; readonly address?: string; readonly by?: string }
  /**
   * Most masters answer, most of these consider it failed, and nothing answers at any of its known addresses. Of a node without slots,
   * those masters are not counted that have forgotten it.
   */
  | { readonly kind: 'dead' };

/** The condition of a node, by its id. */
export function conditionOf(view: ClusterView, id: string): Condition {
  if (view.reports.has(id)) return answering(view, id);
  const answers = answersFor(view, id);
  for (const [address, { error, loading }] of answers) {
    const code = error && refusalIn(error);
    if (code === 'LOADING') return { kind: 'loading', address, ...loading };
    if (code !== undefined) return { kind: 'refuses-us', address, code };
  }
  const links = linksTo(view, id);
  const { records, masters } = links;
  if (isMajority(links)) return { kind: 'unreachable-from-here', linked: links.linked, masters };
  const judges = records.filter(({ observer }) => masters === 0 || isVoter(observer));
  const failing = judges.filter(({ record }) => isFailed(record)).length;
  // A failure is declared by a majority of the masters, and kept in nodes.conf: fewer may have come back with a mark that is out of date.
  const isJudged = canJudge(view);
  // Members that have forgotten a node say nothing of it: an interrupted run may have told most of them to. If it has slots, they count.
  const hasSlots = records.some(({ record }) => record.slots.length > 0);
  const isHeldFailed =
    isJudged && 2 * failing > (hasSlots ? Math.max(masters, judges.length) : judges.length);
  const isLinked = records.some(({ record }) => hasLink(record));
  const others = [...answers].filter(([, { id: other }]) => other !== undefined);
  const [first] = others;
  if (first) {
    const [address, { id: by = '', isAlone = false }] = first;
    const isUnknown = !isLinked && records.every(({ record }) => isLost(record));
    if (isAlone && isUnknown) return { kind: 'wiped', address, by };
    return { kind: 'stranger-at-its-address', address, by };
  }
  if (isHeldFailed) return { kind: 'dead' };
  // Another id at its address makes a server drop the address and stop judging the node: it never comes to consider it failed
  // (clusterProcessPacket, NOADDR).
  const losing = judges.filter(({ record }) => isLost(record)).length;
  if (!isLinked && answers.size === 0 && isJudged && 2 * losing > masters) return { kind: 'wiped' };
  return { kind: 'silent' };
}

/** True if most masters with slots answer: fewer cannot declare another node failed. */
export function canJudge({ nodes, reports }: ClusterView): boolean {
  const owners = nodes.filter(isVoter).length;
  const masters = [...reports.values()].filter(({ myself }) => isVoter(myself)).length;
  return owners === 0 || 2 * masters > owners;
}

/** True of a node that, as far as can be known, holds nothing any more: only its slots may be given away. */
export function isGone({ kind }: Condition): boolean {
  return kind === 'dead' || kind === 'wiped';
}

/** Ids of members that are gone. */
export function goneNodes(view: ClusterView): string[] {
  return lostNodes(view, false);
}

/**
 * Ids of members that may be given up with their keys: those that are gone and, with `force`, those that were asked, are silent at
 * every address, and to which no member has a link.
 */
export function lostNodes(view: ClusterView, force: boolean): string[] {
  return view.nodes
    .map(({ id }) => id)
    .filter((id) => {
      if (view.reports.has(id)) return false;
      const condition = conditionOf(view, id);
      if (isGone(condition) || !force || condition.kind !== 'silent') return isGone(condition);
      return (
        answersFor(view, id).size > 0 && !linksTo(view, id).records.some(({ record }) => hasLink(record))
      );
    });
}

/** True of a node that clients can reach: it answers with its id, or most masters that answer have a link to it. */
export function isServing(view: ClusterView, id: string): boolean {
  if (view.reports.has(id)) return true;
  return conditionOf(view, id).kind !== 'loading' && isMajority(linksTo(view, id));
}

/** What members say of a node, and how many of the masters that answer have a link to it. */
function linksTo(view: ClusterView, id: string) {
  const records = [...view.reports.values()].flatMap(({ myself }) => {
    const record = recordSeenBy(view, myself.id, id);
    return record ? [{ observer: myself, record }] : [];
  });
  const masters = [...view.reports.values()].filter(({ myself }) => isVoter(myself)).length;
  const linked = records.filter(({ observer, record }) => isVoter(observer) && hasLink(record)).length;
  return { records, masters, linked };
}

function isMajority({ linked, masters }: { readonly linked: number; readonly masters: number }): boolean {
  return linked > 0 && 2 * linked > masters;
}

/** By id of a member that answers: the members that list it where it is not, or know no address of it. */
export function misledAbout(view: ClusterView): Map<string, string[]> {
  const misled = new Map<string, string[]>();
  const seen = new Map<NodeRecord, boolean>();
  for (const { myself, address, records } of view.reports.values()) {
    for (const record of records) {
      if (record.id === myself.id || !view.reports.has(record.id)) continue;
      const isWrong = seen.get(record) ?? isMisplaced(view, record);
      seen.set(record, isWrong);
      if (isWrong) misled.set(record.id, [...(misled.get(record.id) ?? []), formatAddress(address)]);
    }
  }
  return misled;
}

function answering(view: ClusterView, id: string): Condition {
  const misled = [...view.reports.values()].flatMap(({ myself, address }) => {
    const record = recordSeenBy(view, myself.id, id);
    return myself.id !== id && record && isMisplaced(view, record) ? [formatAddress(address)] : [];
  });
  if (misled.length === 0) return { kind: 'healthy' };
  const report = view.reports.get(id);
  return { kind: 'moved', address: report ? formatAddress(report.address) : '', misled };
}

// A node may be asked at one address and listed at another that leads to it too: only the address that was asked is evidence.
function isMisplaced({ asked = new Map() }: ClusterView, { id, address, flags }: NodeRecord): boolean {
  if (flags.includes('noaddr') || address.host === '' || address.port === 0) return true;
  const answer: AddressAnswer | undefined = asked.get(formatAddress(address));
  return answer !== undefined && answer.id !== id;
}

/** The result of asking at the addresses that members list for a node. */
function answersFor(
  { reports, asked = new Map(), unreachable }: ClusterView,
  id: string,
): Map<string, AddressAnswer> {
  const answers = new Map<string, AddressAnswer>();
  for (const { records } of reports.values()) {
    const record = records.find((one) => one.id === id);
    if (!record || record.address.host === '' || record.address.port === 0) continue;
    const name = formatAddress(record.address);
    const error = unreachable.get(id);
    const answer = asked.get(name) ?? (error ? { error } : undefined);
    if (answer) answers.set(name, answer);
  }
  return answers;
}

/** The first word of the refusal of a server that answers, or `TLS` if it may require that; undefined if nothing answers. */
function refusalIn(error: Error): string | undefined {
  const { name, code } = error as Error & { readonly code?: unknown };
  if (name === 'ReplyError') return String(code);
  if (name === 'ProtocolError') return code === 'RESP_TLS' ? 'TLS' : undefined;
  // It may be the node, with all its keys, started without "cluster-enabled yes".
  if (name === 'ClusterError' && code === 'NOT_CLUSTER_ENABLED') return code;
  return undefined;
}

function isVoter({ role, slots }: NodeRecord): boolean {
  return role === 'master' && slots.length > 0;
}

function isLost(record: NodeRecord): boolean {
  return isFailed(record) || record.flags.includes('noaddr') || record.address.host === '';
}
