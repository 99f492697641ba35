import { PassThrough } from 'node:stream';
import type { ClusterEvent } from '../../lib/events.ts';
import type { Address } from '../../lib/model/address.ts';
import { formatRanges, toRanges } from '../../lib/model/slot.ts';
import type { Ends } from '../../lib/move/ends.ts';
import { Account } from '../../lib/nodes/account.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import type { OperationOptions } from '../../lib/options.ts';
import type { NodeRef } from '../../lib/plan/plan.ts';
import { settingsOf } from '../../lib/settings.ts';
import { type Command, ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';
import { idOf, type Line, nodesText, portOf, reportOf } from './views.ts';

/** Nodes of a script by number: two ends and a third master. */
export const SOURCE = 1;
export const TARGET = 2;
export const THIRD = 3;

/**
 * What a node answers to a command; undefined for what a healthy node without keys would answer. Return an error for an
 * error reply, throw one for a connection that breaks.
 */
export type Script = (
  node: number,
  words: readonly string[],
) => Reply | undefined | Promise<Reply | undefined>;

/** What a node of the script knows. SETSLOT changes it and CLUSTER NODES reports it. */
export interface ScriptedNode {
  readonly owned: Set<number>;
  readonly open: Map<number, 'importing' | 'migrating'>;
  epoch: number;
}

export interface ScriptedEnds {
  readonly ends: Ends;
  /** Masters besides the two ends. */
  readonly others: readonly NodeRef[];
  readonly nodes: ReadonlyMap<number, ScriptedNode>;
  /** What was sent, in order, as `target CLUSTER SETSLOT 7 STABLE`. Commands that only ask about the node are left out. */
  readonly sent: string[];
  readonly events: ClusterEvent[];
  /** Answers by this script from now on. */
  follow(script: Script): void;
}

export interface ScriptedOptions {
  /** @default what healthy nodes without keys answer */
  readonly script?: Script;
  /** Slots that a node has open when the move begins. */
  readonly open?: readonly (readonly [node: number, slot: number, as: 'importing' | 'migrating'])[];
  readonly options?: OperationOptions;
  readonly signal?: AbortSignal;
  readonly traits?: Partial<
    Pick<
      Ends,
      'isValkey' | 'targetHidesKeys' | 'targetTakesImports' | 'targetRemembersUnclaimed' | 'waitsForReplicas'
    >
  >;
}

/**
 * Two ends of a move without a server: the script answers every command. The source owns slots 0 to 8191, the target up to
 * 12287, a third master the rest.
 */
export function openScriptedEnds(given: ScriptedOptions = {}): ScriptedEnds {
  const nodes = new Map<number, ScriptedNode>([
    [SOURCE, nodeWith(0, 8191, 1)],
    [TARGET, nodeWith(8192, 12287, 2)],
    [THIRD, nodeWith(12288, 16383, 3)],
  ]);
  for (const [node, slot, as] of given.open ?? []) nodeAt(nodes, node).open.set(slot, as);
  const sent: string[] = [];
  const events: ClusterEvent[] = [];
  let script: Script = given.script ?? (() => undefined);
  const run = async (node: number, command: Command): Promise<Reply> => {
    const words = command.map(String);
    if (!QUESTIONS.test(words.join(' '))) sent.push([NAMES.get(node), ...words].join(' '));
    const reply = (await script(node, words)) ?? healthyReply(nodes, node, words);
    if (!(reply instanceof Error)) setSlot(nodeAt(nodes, node), node, words);
    return reply;
  };
  const context = {
    connections: new ScriptedConnections(run) as unknown as Connections,
    options: given.options ?? {},
    settings: settingsOf(given.options ?? {}),
    emit: (event: ClusterEvent) => events.push(event),
    signal: given.signal,
    account: new Account(),
  };
  const ends: Ends = {
    ...{ context, source: refOf(SOURCE), target: refOf(TARGET), auth: [] },
    ...{ sourceAddress: addressOf(SOURCE), targetAddress: addressOf(TARGET), migrateTo: addressOf(TARGET) },
    sourceReport: reportOf(SOURCE, { lines: linesOf(nodes, SOURCE) }),
    targetReport: reportOf(TARGET, { lines: linesOf(nodes, TARGET) }),
    ...{ isValkey: false, sourceHidesKeys: false, targetHidesKeys: false },
    ...{ targetTakesImports: false, targetRemembersUnclaimed: false, waitsForReplicas: false },
    ...given.traits,
  };
  const follow = (next: Script): void => {
    script = next;
  };
  return { ends, others: [refOf(THIRD)], nodes, sent, events, follow };
}

/** What a connection that breaks in the middle of a command rejects with. */
export function brokenConnection(node: number): ConnectionError {
  return new ConnectionError('socket closed', { code: 'CLOSED', address: refOf(node).address, sent: true });
}

const NAMES: ReadonlyMap<number, string> = new Map([
  [SOURCE, 'source'],
  [TARGET, 'target'],
  [THIRD, 'third'],
]);

const QUESTIONS =
  /^(?:CLUSTER (?:MYID|NODES|INFO|COUNT-FAILURE-REPORTS)|INFO|PING|TIME|ASKING|MULTI|EXEC|CONFIG GET|CLIENT (?:ID|INFO)|SUBSCRIBE|PUBLISH)\b/;

/** As much of `Connections` as a move uses. A node answers pipelines one after the other, as on one connection. */
class ScriptedConnections {
  readonly #run: (node: number, command: Command) => Promise<Reply>;
  readonly #last = new Map<number, Promise<unknown>>();
  readonly #subscribers: PassThrough[] = [];

  constructor(run: (node: number, command: Command) => Promise<Reply>) {
    this.#run = run;
  }

  askAll(address: Address, commands: readonly Command[]): Promise<Reply[]> {
    const last = this.#last.get(address.port) ?? Promise.resolve();
    const replies = last.then(() => this.#pipeline(address, commands));
    this.#last.set(
      address.port,
      replies.catch(() => undefined),
    );
    return replies;
  }

  async #pipeline({ port }: Address, commands: readonly Command[]): Promise<Reply[]> {
    const node = port - portOf(0);
    const replies: Reply[] = [];
    let queued: Command[] | undefined;
    for (const command of commands) {
      if (command[0] === 'EXEC') {
        replies.push(await this.#execute(node, queued ?? []));
        queued = undefined;
      } else if (queued) {
        queued.push(command);
        replies.push('QUEUED');
      } else {
        replies.push(await this.#run(node, command));
        if (command[0] === 'MULTI') queued = [];
      }
    }
    return replies;
  }

  // A script that answers EXEC with an error refuses the transaction: nothing of it runs.
  async #execute(node: number, queued: readonly Command[]): Promise<Reply> {
    const refused = await this.#run(node, ['EXEC']);
    if (refused instanceof Error) return refused;
    const results: Reply[] = [];
    for (const command of queued) results.push(await this.#run(node, command));
    return results;
  }

  async ask(address: Address, command: Command): Promise<Reply> {
    const [reply] = await this.askAll(address, [command]);
    if (command[0] === 'PUBLISH') for (const each of this.#subscribers) each.write('message');
    if (reply instanceof ReplyError) throw reply;
    return reply ?? null;
  }

  askSoon(address: Address, command: Command): Promise<Reply> {
    return this.ask(address, command);
  }

  async get(address: Address): Promise<object> {
    return {
      closed: false,
      command: (command: Command) => this.ask(address, command),
      pipeline: (given: readonly Command[] | { readonly commands: readonly Command[] }) =>
        this.#pipeline(address, 'commands' in given ? given.commands : given),
      close: () => Promise.resolve(),
      destroy: () => undefined,
      detach: () => {
        const socket = new PassThrough();
        this.#subscribers.push(socket);
        return socket;
      },
    };
  }

  fresh(address: Address): Promise<object> {
    return this.get(address);
  }

  closeLanes(): Promise<void> {
    return Promise.resolve();
  }
}

function nodeWith(first: number, last: number, epoch: number): ScriptedNode {
  const owned = new Set(Array.from({ length: last - first + 1 }, (_, index) => first + index));
  return { owned, open: new Map(), epoch };
}

function nodeAt(nodes: ReadonlyMap<number, ScriptedNode>, node: number): ScriptedNode {
  const found = nodes.get(node);
  if (!found) throw new Error(`The script has no node ${node}`);
  return found;
}

function addressOf(node: number): Address {
  return { host: '127.0.0.1', port: portOf(node) };
}

function refOf(node: number): NodeRef {
  return { id: idOf(node), address: `127.0.0.1:${portOf(node)}` };
}

// A node reports its own open slots only.
function linesOf(nodes: ReadonlyMap<number, ScriptedNode>, observer: number): Line[] {
  const marks = [...nodeAt(nodes, observer).open].map(([slot, as]) =>
    as === 'importing' ? `[${slot}-<-${idOf(SOURCE)}]` : `[${slot}->-${idOf(TARGET)}]`,
  );
  return [...nodes].map(([node, { owned, epoch }]) => {
    const ranges = formatRanges(toRanges(owned));
    return { node, epoch, slots: [ranges, ...(node === observer ? marks : [])].join(' ').trim() };
  });
}

function setSlot({ owned, open }: ScriptedNode, node: number, words: readonly string[]): void {
  const [word, verb, , as, id] = words;
  if (word !== 'CLUSTER' || verb !== 'SETSLOT') return;
  const slot = Number(words[2]);
  if (as === 'IMPORTING') open.set(slot, 'importing');
  else if (as === 'MIGRATING') open.set(slot, 'migrating');
  else open.delete(slot);
  if (as !== 'NODE') return;
  if (id === idOf(node)) owned.add(slot);
  else owned.delete(slot);
}

function healthyReply(
  nodes: ReadonlyMap<number, ScriptedNode>,
  node: number,
  words: readonly string[],
): Reply {
  const text = words.slice(0, 2).join(' ');
  const { epoch } = nodeAt(nodes, node);
  // Read as bytes, like all text of CLUSTER NODES and CLUSTER INFO.
  if (text === 'CLUSTER NODES') return Buffer.from(nodesText(node, linesOf(nodes, node)));
  if (text === 'CLUSTER INFO')
    return Buffer.from(`cluster_state:ok\r\ncluster_current_epoch:9\r\ncluster_my_epoch:${epoch}\r\n`);
  if (text === 'CLUSTER MYID') return idOf(node);
  if (text === 'CLUSTER COUNTKEYSINSLOT') return 0;
  if (text === 'CLUSTER GETKEYSINSLOT') return [];
  if (text === 'CONFIG GET') return ['cluster-databases', '1'];
  if (text === 'CLIENT ID') return 1;
  if (text === 'CLIENT LIST') return '';
  const [word] = words;
  if (word === 'TIME') return ['1', '0'];
  if (word === 'EXISTS') return 0;
  if (word === 'PTTL') return -2;
  if (word === 'DUMP' || word === 'MEMORY') return null;
  return word === 'INFO' ? '' : 'OK';
}
