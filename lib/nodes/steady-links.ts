import type { Address } from '../model/address.ts';
import { hasLink, parseNodeLine } from '../model/node.ts';
import {
  doubtfulLinks,
  isLinkInUse,
  type Link,
  type LinkSample,
  withoutLinks,
} from '../model/steady-links.ts';
import type { ClusterView } from '../model/view.ts';
import type { Connections } from './connections.ts';
import { inParallel } from './parallel.ts';
import { waitUntil } from './wait-until.ts';

/** Not a divisor of the 100 ms between two attempts to open a link: looks then find each moment in between. */
const PAUSE_MS = 70;
/** A link of which nothing can be said by then counts as one that is in use. */
const LONGEST_MS = 1200;

/**
 * The view without links to silent nodes that are only being opened: the members that say they have one are asked again, until it is certain.
 * Rejects with the signal's reason.
 */
export async function steadied(
  connections: Connections,
  view: ClusterView,
  signal?: AbortSignal,
): Promise<ClusterView> {
  const links = doubtfulLinks(view);
  if (links.length === 0) return view;
  const open = new Map<Link, LinkSample[]>(links.map((link) => [link, [sample(true)]]));
  const unused: Link[] = [];
  const wait = { what: 'links between members', timeoutMs: LONGEST_MS, pauseMs: PAUSE_MS, signal };
  await waitUntil(wait, async () => {
    const texts = await askAgain(connections, view, [...open.keys()], signal);
    for (const [link, samples] of open) {
      const next = sampleIn(texts.get(link.from), link.to);
      if (next) samples.push(next);
      const isInUse = isLinkInUse(samples);
      // A member that does not answer any more cannot take back what it said.
      if (next && isInUse === undefined) continue;
      open.delete(link);
      if (isInUse === false) unused.push(link);
    }
    return open.size === 0 ? { done: undefined } : { missing: [], giveUp: () => ({ done: undefined }) };
  });
  return withoutLinks(view, unused);
}

/** By id of a member: what it answers to CLUSTER NODES. One that does not answer is left out. */
async function askAgain(
  connections: Connections,
  view: ClusterView,
  links: readonly Link[],
  signal: AbortSignal | undefined,
): Promise<Map<string, Buffer>> {
  const members = new Map(links.flatMap(({ from }) => addressOf(view, from)));
  const found = await inParallel([...members], async ([id, address]): Promise<[string, Buffer][]> => {
    try {
      const [reply] = await connections.askAll(address, [['CLUSTER', 'NODES']], { as: 'buffer', signal });
      return reply instanceof Uint8Array ? [[id, reply as Buffer]] : [];
    } catch {
      signal?.throwIfAborted();
      return [];
    }
  });
  return new Map(found.flat());
}

function addressOf(view: ClusterView, id: string): [[string, Address]] | [] {
  const report = view.reports.get(id);
  return report ? [[id, report.address]] : [];
}

function sample(isLinked: boolean, pongMs?: number): LinkSample {
  return { atMs: performance.now(), isLinked, ...(pongMs === undefined ? {} : { pongMs }) };
}

/** What a reply says about one node. Undefined if it does not list it. */
function sampleIn(text: Buffer | undefined, id: string): LinkSample | undefined {
  if (!text) return undefined;
  const start = text.indexOf(`${id} `) === 0 ? 0 : text.indexOf(`\n${id} `) + 1;
  if (!text.toString('latin1', start, start + id.length).startsWith(id)) return undefined;
  const end = text.indexOf('\n', start);
  const line = text.toString('latin1', start, end < 0 ? text.length : end).trim();
  try {
    return sample(hasLink(parseNodeLine(line)), Number(line.split(' ')[5]));
  } catch {
    return undefined;
  }
}
