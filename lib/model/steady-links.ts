import { conditionOf } from './condition.ts';
import { hasLink } from './node.ts';
import { type ClusterView, mergeReports } from './view.ts';

/**
 * A server says `connected` as soon as it begins to open a link (CLUSTER NODES: node->link), and while a node is down it begins every
 * 100 ms (clusterCron). Seen once, such a link looks like one that is in use.
 */

/** What a member says about its link to a node, at one look. */
export interface LinkSample {
  /** When it was asked, in milliseconds of some clock. */
  readonly atMs: number;
  readonly isLinked: boolean;
  /** When the member received the last answer of the node, by its own clock. Undefined if that is not known. */
  readonly pongMs?: number;
}

/** Looks that must all find a link before it is believed. */
const LINKED_LOOKS = 6;
/**
 * A server closes a link on which a node is silent for half the node timeout, and opens it again 100 ms later. If the node is only slow,
 * that one stays open: two looks so far apart do not both find none.
 */
const APART_MS = 250;

/**
 * Whether a link is in use, from looks in the order in which they were made, the first of which found it: undefined as long as that is
 * not certain. A member that has lost it says so again and again, and gets no answer over those that it opens in between.
 */
export function isLinkInUse(samples: readonly LinkSample[]): boolean | undefined {
  const first = samples.findIndex(({ isLinked }) => !isLinked);
  if (first < 0) return samples.length >= LINKED_LOOKS ? true : undefined;
  const before = Math.max(...samples.slice(0, first + 1).map(({ pongMs = 0 }) => pongMs));
  const later = samples.slice(first + 1);
  if (later.some(({ isLinked, pongMs = 0 }) => isLinked && pongMs > before)) return true;
  const lost = later.some(
    ({ atMs, isLinked }) => !isLinked && atMs - (samples[first]?.atMs ?? 0) >= APART_MS,
  );
  return lost ? false : undefined;
}

/** A link of the member `from` to the node `to`, by their ids. */
export interface Link {
  readonly from: string;
  readonly to: string;
}

/** So many members, or this share of them, are not all opening a link at the same moment. */
const [MOST_OPENING, OPENING_SHARE] = [8, 1 / 8];

/** Links to nodes that answer nothing at all, which may only be being opened. Pure. */
export function doubtfulLinks(view: ClusterView): Link[] {
  const { reports, unreachable } = view;
  const most = Math.max(MOST_OPENING, OPENING_SHARE * reports.size);
  return [...unreachable.keys()].flatMap((to) => {
    if (['loading', 'refuses-us'].includes(conditionOf(view, to).kind)) return [];
    const links = [...reports].flatMap(([from, { records }]) => {
      const record = records.find(({ id }) => id === to);
      return record && hasLink(record) ? [{ from, to }] : [];
    });
    return links.length <= most ? links : [];
  });
}

/** The view without these links. */
export function withoutLinks(view: ClusterView, links: readonly Link[]): ClusterView {
  if (links.length === 0) return view;
  const reports = new Map(
    [...view.reports].map(([from, report]) => {
      const lost = new Set(links.filter((link) => link.from === from).map(({ to }) => to));
      if (lost.size === 0) return [from, report];
      const records = report.records.map((record) =>
        lost.has(record.id) ? { ...record, linkState: 'disconnected' as const } : record,
      );
      return [from, { ...report, records }];
    }),
  );
  return mergeReports(view.seed, view.seedId, reports, view.unreachable, view.asked);
}
