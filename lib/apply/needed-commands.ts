import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { type ClusterError, missingRight, retold } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import type { Methods } from '../move/decide-methods.ts';
import { SETSLOT_QUESTION } from '../move/set-slot.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { commandRefused } from '../nodes/must-do.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep } from '../plan/plan.ts';

/** A key that nobody has. */
const KEY = 'redis-trib:6b1f0c3e9d2a4857';

/** To open slots. A word stands where a number has to be: a server first sees whether it has the command and the user may run it (processCommand). */
const OPENING: readonly Command[] = [SETSLOT_QUESTION, ['CLUSTER', 'COUNTKEYSINSLOT', 'x']];
/** To move keys. The source sends the target RESTORE-ASKING, as the same user. */
const MOVING: Readonly<Record<'from' | 'to', readonly Command[]>> = {
  from: [
    ['CLUSTER', 'GETKEYSINSLOT', 'x', '1'],
    ['MULTI'],
    ['EXEC'],
    ['CLIENT', 'ID'],
    ['ASKING'],
    ['MIGRATE', '127.0.0.1', '1', '', '0', 'x', 'KEYS', KEY],
  ],
  to: [['SELECT', '0'], ['ASKING'], ['DEL', KEY], ['RESTORE-ASKING', KEY, 'x', '']],
};

interface Asked {
  readonly address: string;
  readonly way: 'from' | 'to';
  isLoaded: boolean;
}

/**
 * Reports moves by MIGRATE for which a node lacks a command, which `rename-command` may have taken away, or the user a right. Found out
 * only by the first key, slots would be open by then, and a newcomer a member. `mayForce`: of a user who may not access every key, as
 * those that move may be others. Changes nothing.
 */
export async function requireCommands(
  context: Context,
  moves: readonly MoveStep[],
  methods: Methods,
  refuse: (error: ClusterError, mayForce: boolean) => void,
): Promise<void> {
  const asked = new Map<string, Asked>();
  for (const move of moves) {
    if (methods.of(move).method !== 'migrate') continue;
    for (const [way, { address }] of [['from', move.source] as const, ['to', move.target] as const]) {
      const one = asked.get(`${way} ${address}`) ?? { address, way, isLoaded: false };
      one.isLoaded ||= (move.content?.keys ?? 0) > 0;
      asked.set(`${way} ${address}`, one);
    }
  }
  await inParallel([...asked.values()], async ({ address, way, isLoaded }) => {
    const questions = [...OPENING, ...(isLoaded ? MOVING[way] : [])];
    const replies = await context.connections.askAll(parseAddress(address), questions);
    const found = questions.flatMap((question, index) => refusalIn(question, replies[index]) ?? []);
    const [first] = found;
    if (!first) return;
    const what = `move slots ${way} ${address}`;
    if (!first.isUnknown) {
      const error = commandRefused(context, address, what, first.reply);
      const isOfKeys = missingRight(first.reply) === undefined;
      const anyway: Next = { do: 'retry', options: { force: true }, when: 'anyway' };
      refuse(isOfKeys ? retold(error, { next: [...error.next, anyway] }) : error, isOfKeys);
      return;
    }
    const message = `Cannot ${what}: it does not have the command ${first.command}`;
    const hint = `Nothing was changed. rename-command in its configuration takes ${first.command} away: remove that, and restart it once its keys are saved`;
    refuse(
      nodeError('COMMAND_REFUSED', address, message, { hint, next: [{ do: 'restart-node', node: address }] }),
      false,
    );
  });
}

function refusalIn(
  [command]: Command,
  reply: Reply | undefined,
): { readonly command: string; readonly reply: ReplyError; readonly isUnknown: boolean } | undefined {
  if (!(reply instanceof ReplyError)) return undefined;
  const isUnknown = reply.message.startsWith('ERR unknown command');
  // Without CLIENT only a help is missing.
  if (isUnknown ? command === 'CLIENT' : !/\bNOPERM\b/.test(reply.message)) return undefined;
  return { command: String(command), reply, isUnknown };
}
