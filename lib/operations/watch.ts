import type { Command } from '../../resp/index.ts';
import { operatorsIn } from '../apply/claim.ts';
import { invalidArgument } from '../errors.ts';
import { type Finding, namesOf } from '../findings/finding.ts';
import { findingsOf } from '../findings/findings.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeDetails } from '../model/details.ts';
import type { ClusterView, NodeReport } from '../model/view.ts';
import { runningTasksIn, TASK_QUESTIONS } from '../move/by-servers/dialects.ts';
import type { Task } from '../move/by-servers/task.ts';
import { type KeysSeen, MovesSeen } from '../move/moves-seen.ts';
import { unlessAborted } from '../nodes/abort.ts';
import { Connections } from '../nodes/connections.ts';
import { countCommand } from '../nodes/count-keys.ts';
import { Members } from '../nodes/members.ts';
import type { Poller } from '../nodes/poller.ts';
import { pause } from '../nodes/wait-until.ts';
import type { ConnectionOptions } from '../options.ts';
import { DEFAULTS, settingsOf } from '../settings.ts';
import { Cluster, type ClusterLike, seedOf } from './cluster.ts';
import { type ClusterSnapshot, type NodeInShard, type OperatorSeen, placesIn, vitalsOf } from './snapshot.ts';

export interface WatchOptions extends ConnectionOptions {
  /** Milliseconds between two snapshots. @default 1000 */
  readonly intervalMs?: number;
  /** Ends the snapshots: the iteration throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Findings, and what other operators there are, every so many snapshots. */
const SELDOM = 5;
/** A node that is silent for so long is down. */
const LOST_MS = 5000;
/** A node with more clients is not asked for a list of them. */
const MOST_CLIENTS = 1000;
/** How long to wait for the nodes: a part of the interval, and no more than this, which is also the time to connect at first. */
const [PART, LONGEST_MS, FIRST_MS] = [0.8, 2000, 2000];

const CLIENTS: Command = ['CLIENT', 'LIST', 'TYPE', 'normal'];
const SIZE: Command = ['DBSIZE'];

/**
 * Looks at a cluster again and again: `for await (const snapshot of watch(cluster))`. The first snapshot comes at once, without rates,
 * which need two. Each node is asked in one write a snapshot, on a connection of its own; one that does not answer in time is shown as
 * late and holds up nothing. Nodes are followed as they join, leave and fail over; the node that was named first may leave, too. A slow
 * reader gets fewer snapshots, and always the latest. Leaving the loop closes the connections.
 * Changes nothing. Rejects if the first node does not answer, with ClusterError `INVALID_ARGUMENT` for an interval that is not a time, and
 * with the reason of `signal`.
 */
export async function* watch(
  cluster: ClusterLike,
  options: WatchOptions = {},
): AsyncGenerator<ClusterSnapshot, void, void> {
  const { signal, intervalMs = DEFAULTS.watch.intervalMs } = options;
  if (!(intervalMs >= 1)) throw invalidArgument(`Not a number from 1 up for intervalMs: "${intervalMs}"`);
  signal?.throwIfAborted();
  const own = cluster instanceof Cluster ? undefined : new Connections(options);
  const connections = cluster instanceof Cluster ? cluster.connections : (own ?? new Connections(options));
  const { commandTimeout } = settingsOf(connections.reaching(options));
  const members = new Members(connections, seedOf(cluster), Math.min(commandTimeout || LOST_MS, LOST_MS));
  const watching = new Watching(members, intervalMs);
  try {
    await unlessAborted(watching.begin(), signal);
    for (let nextMs = performance.now(); ; ) {
      await unlessAborted(watching.poll(), signal);
      yield watching.snapshot();
      const nowMs = performance.now();
      nextMs = Math.max(nowMs, nextMs + intervalMs);
      await pause(nextMs - nowMs, signal);
      signal?.throwIfAborted();
    }
  } finally {
    members.close();
    own?.destroy();
  }
}

/** What is known from one snapshot to the next. */
class Watching {
  readonly #members: Members;
  readonly #intervalMs: number;
  readonly #moves = new MovesSeen();
  #count = 0;
  #findings: readonly Finding[] = [];
  #places: readonly NodeInShard[] = [];
  #view: ClusterView | undefined;
  #operators: readonly OperatorSeen[] = [];
  /** The question how many keys it has, by slot: replies are found by it. */
  readonly #counting = new Map<number, Command>();

  constructor(members: Members, intervalMs: number) {
    this.#members = members;
    this.#intervalMs = intervalMs;
  }

  begin(): Promise<void> {
    return this.#members.begin(() => []);
  }

  async poll(): Promise<void> {
    const isFirst = this.#count === 0;
    await this.#members.poll(
      (poller) => this.#questions(poller),
      isFirst ? FIRST_MS : Math.min(PART * this.#intervalMs, LONGEST_MS),
    );
    this.#count += 1;
  }

  snapshot(): ClusterSnapshot {
    const view = this.#members.view();
    const { pollers } = this.#members;
    const isSeldom = this.#count % SELDOM === 1;
    if (this.#view !== view) this.#places = placesIn(view, this.#places);
    // The last picture of a cluster of which no node answers says nothing about it now.
    const isSilent = [...pollers.values()].every(({ error }) => error !== undefined);
    if (isSilent) this.#findings = [noneAnswers(view)];
    else if (isSeldom || this.#view !== view) this.#findings = findingsIn(view, pollers);
    this.#view = view;
    if (isSeldom) this.#operators = operatorsOn(pollers);
    return {
      number: this.#count,
      at: new Date().toISOString(),
      intervalMs: this.#intervalMs,
      state: isSilent ? 'fail' : stateOfMost([...view.reports.values()]),
      nodes: this.#places.map((place) => vitalsOf(place, pollers)),
      moves: this.#moves.update(view, tasksOf(pollers), performance.now(), this.#keysSeen()),
      operators: this.#operators,
      findings: this.#findings,
    };
  }

  #questions({ id, sample }: Poller): readonly Command[] {
    const isSeldom = (this.#count + 1) % SELDOM === 1;
    const lists = isSeldom && (sample?.clients ?? 0) <= MOST_CLIENTS;
    const own = id ?? '';
    return [
      ...TASK_QUESTIONS,
      ...(lists ? [CLIENTS] : []),
      ...(this.#moves.isTaskTarget(own) ? [SIZE] : []),
      ...this.#moves.countedOn(own).map((slot) => this.#countIn(slot)),
    ];
  }

  #countIn(slot: number): Command {
    const command = this.#counting.get(slot) ?? countCommand(slot);
    this.#counting.set(slot, command);
    return command;
  }

  // What a node does not answer costs the figure that would follow from it.
  #keysSeen(): KeysSeen {
    const inSlots = new Map<string, ReadonlyMap<number, number>>();
    const hidden = new Map<string, number>();
    for (const [id, { more, sample }] of this.#members.pollers) {
      const counts = this.#moves.countedOn(id).flatMap((slot) => {
        const keys = more.get(this.#countIn(slot));
        return typeof keys === 'number' ? [[slot, keys] as const] : [];
      });
      inSlots.set(id, new Map(counts));
      // INFO counts keys of slots that it does not serve yet, and DBSIZE does not.
      const size = more.get(SIZE);
      if (sample && typeof size === 'number') hidden.set(id, Math.max(0, sample.details.keys - size));
    }
    return { inSlots, hidden };
  }
}

/** What a node that is late reported last may differ from what others report since: it is not held against it. */
function findingsIn(view: ClusterView, pollers: ReadonlyMap<string, Poller>): Finding[] {
  const late = new Set(
    [...pollers.values()].flatMap(({ isBusy, address }) =>
      isBusy && address ? [formatAddress(address)] : [],
    ),
  );
  return findingsOf(view, { details: detailsIn(pollers) }).filter(
    ({ kind, nodes }) => kind !== 'nodes-disagree' || !nodes.some((name) => late.has(name)),
  );
}

function noneAnswers(view: ClusterView): Finding {
  const nameOf = namesOf(view);
  return {
    severity: 'error',
    kind: 'node-unreachable',
    message: 'No node answers',
    nodes: view.nodes.map(({ id }) => nameOf(id)),
    hint: 'Nothing is known of the cluster until one does: start the nodes, or make them reachable from here',
  };
}

/** By node id. */
function detailsIn(pollers: ReadonlyMap<string, Poller>): Map<string, NodeDetails> {
  return new Map([...pollers].flatMap(([id, { sample }]) => (sample ? [[id, sample.details] as const] : [])));
}

function tasksOf(pollers: ReadonlyMap<string, Poller>): Task[] {
  return [...pollers.values()].flatMap(({ more, error }) => {
    try {
      return error ? [] : runningTasksIn(TASK_QUESTIONS.map((command) => more.get(command)));
    } catch {
      // A list that cannot be read costs the line about it.
      return [];
    }
  });
}

function operatorsOn(pollers: ReadonlyMap<string, Poller>): OperatorSeen[] {
  const found = [...pollers.values()].flatMap(({ more }) => {
    const reply = more.get(CLIENTS);
    return reply instanceof Uint8Array ? operatorsIn(String(reply), '') : [];
  });
  const byName = new Map(found.map(({ name, from, ageSeconds }) => [name, { name, from, ageSeconds }]));
  return [...byName.values()];
}

/** What most masters that answer say, or else all nodes. */
function stateOfMost(reports: readonly NodeReport[]): ClusterSnapshot['state'] {
  const masters = reports.filter(({ myself }) => myself.role === 'master');
  const asked = masters.length > 0 ? masters : reports;
  const failing = asked.filter(({ info }) => info.state === 'fail').length;
  return asked.length === 0 || 2 * failing > asked.length ? 'fail' : 'ok';
}
