import { type Command, ConnectionError, ProtocolError, type Reply, ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { type Address, formatAddress } from '../model/address.ts';
import {
  isFailure,
  isRefusal,
  type NodeRecording,
  type Recorded,
  type Recording,
  type Unanswered,
} from '../model/recording.ts';
import type { Between } from './connections.ts';

/** Commands that only say how others run: kept if they are refused, and answered as every server does otherwise. */
const [SELECT, MULTI, EXEC] = ['SELECT', 'MULTI', 'EXEC'];
const COUNT = 'CLUSTER COUNTKEYSINSLOT';

const textOf = (command: Command): string => command.map(String).join(' ');

/** Something with a command that runs in a database, also in the middle of a transaction. */
interface Place {
  db: number;
  /** The commands of the transaction so far; undefined outside of one. */
  queued: Command[] | undefined;
}

/** Keeps what nodes are asked and answer. */
export class Recorder {
  /** By address. */
  readonly nodes: Map<string, NodeRecording> = new Map();

  /** Passes questions on, and keeps the answers. */
  readonly between: Between = async (address, commands, _options, send) => {
    const node = this.#at(address);
    try {
      const replies = await send();
      this.#keep(node, commands, replies);
      return replies;
    } catch (error) {
      const failure = failureOf(error);
      const words = commands.map(textOf).filter((text) => !isControl(text));
      for (const text of new Set(words.map(withoutSlot))) add(node, text, failure);
      throw error;
    }
  };

  #at(address: Address): NodeRecording {
    const name = formatAddress(address);
    const node = this.nodes.get(name) ?? { answers: new Map(), keys: new Map() };
    this.nodes.set(name, node);
    return node;
  }

  #keep(node: NodeRecording, commands: readonly Command[], replies: readonly Reply[]): void {
    const place: Place = { db: 0, queued: undefined };
    for (const [index, command] of commands.entries()) {
      const [text, reply = null] = [textOf(command), replies[index]];
      const isRefused = reply instanceof ReplyError;
      if (isControl(text)) {
        if (isRefused) add(node, text, answerOf(reply));
        else if (text === EXEC && Array.isArray(reply))
          place.queued?.forEach((one, at) => void keepReply(node, place.db, one, reply[at] ?? null));
        follow(place, command, isRefused);
      } else if (place.queued && !isRefused) place.queued.push(command);
      else keepReply(node, place.db, command, reply);
    }
  }
}

function keepReply(node: NodeRecording, db: number, command: Command, reply: Reply): void {
  const text = textOf(command);
  if (!text.startsWith(COUNT) || reply instanceof ReplyError) {
    add(node, withoutSlot(text), answerOf(reply));
    return;
  }
  const counts = node.keys.get(db) ?? new Map<number, number>();
  node.keys.set(db, counts);
  if (Number(reply) > 0) counts.set(Number(command[2]), Number(reply));
}

function add({ answers }: NodeRecording, text: string, answer: Recorded | Unanswered): void {
  const known = answers.get(text);
  if (known) known.push(answer);
  else answers.set(text, [answer]);
}

/** Where the connection is after SELECT, MULTI or EXEC. */
function follow(place: Place, command: Command, isRefused: boolean): void {
  if (command[0] === EXEC) place.queued = undefined;
  else if (isRefused) return;
  else if (command[0] === MULTI) place.queued = [];
  else place.db = Number(command[1]);
}

function isControl(text: string): boolean {
  return text === MULTI || text === EXEC || text.startsWith(`${SELECT} `);
}

// A node that refuses one count refuses all.
function withoutSlot(text: string): string {
  return text.startsWith(COUNT) ? COUNT : text;
}

function answerOf(reply: Reply): Recorded {
  if (reply instanceof ReplyError) return { error: reply.message };
  if (Array.isArray(reply)) return reply.map(answerOf);
  if (typeof reply === 'bigint') return Number(reply);
  return reply instanceof Uint8Array
    ? (reply as Buffer).toString('latin1')
    : (reply as string | number | null);
}

function failureOf(error: unknown): Unanswered {
  const { name, code, tls } = error as Error & { readonly code?: unknown; readonly tls?: unknown };
  return {
    failed: String(name),
    message: messageOf(error),
    ...(typeof code === 'string' && name !== 'ReplyError' ? { code } : {}),
    ...(typeof tls === 'string' ? { tls } : {}),
  };
}

/**
 * Answers as recorded nodes did, and asks none. To the same question it gives the answers in turn, then the last one again. A question
 * that no node was asked gets an error reply that says so.
 */
export function replaying({ nodes, unlisted }: Pick<Recording, 'nodes' | 'unlisted'>): Between {
  const given = new Map<readonly unknown[], number>();
  const inTurn = (
    answers: readonly (Recorded | Unanswered)[] | undefined,
  ): Recorded | Unanswered | undefined => {
    if (!answers) return undefined;
    const turn = given.get(answers) ?? 0;
    given.set(answers, turn + 1);
    return answers[Math.min(turn, answers.length - 1)];
  };
  const between: Between = async (address, commands, { as }) => {
    const name = formatAddress(address);
    const node = nodes.get(name);
    if (!node) throw new ConnectionError(`${name} was not asked`, { code: 'NOT_RECORDED', address: name });
    const place: Place = { db: 0, queued: undefined };
    const held: Reply[] = [];
    let failure: Unanswered | undefined;
    // Where EXEC is refused, a command was refused before it, and none ran.
    const isAborted = node.answers.has(EXEC);
    const found = (command: Command): Recorded => {
      const text = textOf(command);
      const recorded = inTurn(node.answers.get(withoutSlot(text)));
      if (recorded !== undefined && isFailure(recorded)) {
        failure ??= recorded;
        return null;
      }
      const answer = recorded ?? countIn(node, place.db, command);
      if (answer !== undefined) return answer;
      return isAborted && place.queued ? null : { error: `NOT_RECORDED ${text} was not asked` };
    };
    const replies = commands.map((command): Reply => {
      const text = textOf(command);
      if (isControl(text)) {
        const refusal = inTurn(node.answers.get(text));
        const usual = text === EXEC && place.queued ? held.splice(0) : 'OK';
        follow(place, command, refusal !== undefined);
        return refusal === undefined || isFailure(refusal) ? usual : replyOf(refusal, name, as);
      }
      const answer = found(command);
      const reply = replyOf(answer, name, as);
      if (!place.queued || (isAborted && isRefusal(answer))) return reply;
      held.push(reply);
      return 'QUEUED';
    });
    if (failure) throw errorOf(failure, name);
    return replies;
  };
  return unlisted === undefined ? between : Object.assign(between, { unlisted });
}

// Slots are counted only in databases that have keys.
function countIn({ answers, keys }: NodeRecording, db: number, command: Command): number | undefined {
  if (!textOf(command).startsWith(`${COUNT} `)) return undefined;
  const keyspace = answers.get('INFO keyspace')?.at(-1);
  const isEmpty = typeof keyspace === 'string' && !keyspace.includes(`db${db}:`);
  return isEmpty || keys.has(db) ? (keys.get(db)?.get(Number(command[2])) ?? 0) : undefined;
}

function replyOf(answer: Recorded, address: string, as: 'string' | 'buffer' | undefined): Reply {
  if (typeof answer === 'string') return as === 'buffer' ? Buffer.from(answer, 'latin1') : answer;
  if (answer === null || typeof answer === 'number') return answer;
  if (isRefusal(answer)) return Object.assign(new ReplyError(answer.error), { address });
  return (answer as readonly Recorded[]).map((one) => replyOf(one, address, as));
}

function errorOf({ failed, message, code = '', tls }: Unanswered, address: string): Error {
  if (failed === 'ReplyError') return Object.assign(new ReplyError(message), { address });
  // As they were told apart when they were thrown: by class and code.
  if (failed === 'ProtocolError')
    return new ProtocolError(message, { code: code as ProtocolError['code'], offset: 0, address });
  if (failed === 'ConnectionError')
    return new ConnectionError(message, { code, address, tls: tls as ConnectionError['tls'] });
  return new Error(message);
}
