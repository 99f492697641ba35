import { ReplyError } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { DEFAULT_USER, loginObstacle, OBSTACLE_WORDS, settingsAgainst } from '../model/login.ts';
import type { Next } from '../model/next.ts';
import { isSuspected, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeById, recordSeenBy } from '../model/view.ts';
import type { Connections, Login } from './connections.ts';
import type { Context } from './context.ts';
import { CREDENTIAL_QUESTIONS, loginIn, readCredentials } from './credentials.ts';
import { inParallel } from './parallel.ts';
import { askServer, mayNotFollow } from './server.ts';

/** Why a node could not follow a master, as the rest of a sentence that begins with its name, and what to change. */
export interface Hindrance {
  /** Address of the node. */
  readonly node: string;
  readonly says: string;
  readonly next: readonly Next[];
  /** True of a link that servers may be making just now, as after a restart. */
  readonly isPassing?: true;
}

/** The nodes among these that could not follow `master`, and why. Nodes that do not say how they would log in are taken to be able to. */
export async function hindrancesOf(
  context: Context,
  view: ClusterView,
  followers: readonly NodeRecord[],
  master: NodeRecord,
): Promise<Hindrance[]> {
  const found = await inParallel(followers, async (follower): Promise<Hindrance[]> => {
    const node = formatAddress(follower.address);
    const name = formatAddress(master.address);
    const record = recordSeenBy(view, follower.id, master.id);
    // One that is not a member yet is introduced before it is followed.
    const isAsked = view.reports.has(follower.id) && nodeById(view, master.id) !== undefined;
    if (isAsked && (!record || isSuspected(record) || record.linkState !== 'connected'))
      return [
        {
          node,
          says: `has no link to ${name} on the cluster bus`,
          next: [{ do: 'check', cluster: name }],
          isPassing: true,
        },
      ];
    const refused = await hindranceOf(context, follower.address, master.address);
    return refused ? [refused] : [];
  });
  return found.flat();
}

/**
 * What keeps a node from following a master that does not accept its credentials; undefined if it does, or if the node does not show
 * them. They are tried on a connection of their own, as a replica would (syncWithMaster): a module may accept what ACL LIST does
 * not show.
 */
export async function hindranceOf(
  { connections }: Context,
  follower: Address,
  master: Address,
): Promise<Hindrance | undefined> {
  // It is only a help: what follows finds a node that does not answer.
  const answers = await inParallel([follower, master], (address) =>
    connections.askAll(address, CREDENTIAL_QUESTIONS).catch(() => []),
  );
  const [own = {}, theirs = {}] = await readCredentials(answers);
  const login = loginIn(answers[0] ?? []);
  // A replica has a certificate of its own, with which we cannot try.
  if (!own.login || !login || theirs.trustsCertificates) return undefined;
  const outcome = await tryLogin(connections, master, login);
  if (outcome === 'accepted')
    return missingRights(connections, follower, master, own.login.user || DEFAULT_USER);
  const refused = outcome === 'unknown' ? undefined : outcome;
  const guess = login.password === undefined ? 'no-masterauth' : 'other-masterauth';
  const obstacle = loginObstacle(own, theirs) ?? (refused && guess);
  if (!obstacle) return undefined;
  const node = formatAddress(follower);
  return {
    node,
    says: `cannot follow ${formatAddress(master)}: ${OBSTACLE_WORDS[obstacle]}${refused ? `: ${refused.message}` : ''}`,
    next: settingsAgainst(obstacle).map((name) => ({ do: 'configure', node, settings: [name] })),
  };
}

/** Whether a master accepts these credentials; if not, its reply. */
async function tryLogin(
  connections: Connections,
  master: Address,
  login: Login,
): Promise<'accepted' | 'unknown' | ReplyError> {
  try {
    await connections.tryLogin(master, login);
    return 'accepted';
  } catch (error) {
    return error instanceof ReplyError && isRefusal(error) ? error : 'unknown';
  }
}

// From Redis 7.0 on, a server says whether a user may run a command. Others show it only when the replica asks.
async function missingRights(
  connections: Connections,
  follower: Address,
  master: Address,
  user: string,
): Promise<Hindrance | undefined> {
  const [reply] = await connections
    .askAll(master, [['ACL', 'DRYRUN', user, 'PSYNC', '?', '-1']])
    .catch(() => []);
  if (typeof reply !== 'string' || reply === 'OK') return undefined;
  const [node, name] = [formatAddress(follower), formatAddress(master)];
  return {
    node,
    says: `cannot follow ${name}: ${reply}`,
    next: [{ do: 'command', node: name, command: ['ACL', 'SETUSER', user, '+psync', '+replconf', '+ping'] }],
  };
}

/** Sentences about nodes that may be unable to copy the new master, by their versions. */
export async function versionWarnings(
  { connections }: Context,
  followers: readonly NodeRecord[],
  master: NodeRecord,
): Promise<{ readonly node: string; readonly message: string }[]> {
  const [newMaster, ...replicas] = await inParallel([master, ...followers], ({ address }) =>
    askServer(connections, address).catch(() => undefined),
  );
  return followers.flatMap(({ address }, index) => {
    const replica = replicas[index];
    if (!newMaster || !replica || !mayNotFollow(replica, newMaster)) return [];
    const [node, name] = [formatAddress(address), formatAddress(master.address)];
    const message = `${node} runs ${replica.name} and may be unable to copy ${name}, which runs ${newMaster.name}`;
    return [{ node, message }];
  });
}

// A user that may not PING may still be allowed to follow; a master that loads its data accepts the password anyway.
function isRefusal({ code, message }: ReplyError): boolean {
  return ['WRONGPASS', 'NOAUTH'].includes(code) || message.includes('without any password configured');
}
