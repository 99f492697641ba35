import type { ClusterErrorCode } from '../model/cluster-error.ts';
import { type Credentials, DEFAULT_USER, isSameLogin, loginObstacle } from '../model/login.ts';
import type { Advice, Next } from '../model/next.ts';
import { acceptsRdb, type RdbSupport } from '../rdb/versions.ts';

/** What a node says of itself, as far as it decides whether it fits with others. Undefined: it does not say. */
export interface NodeFacts extends Credentials, RdbSupport {
  readonly address: string;
  /** `Redis 8.6.3`. */
  readonly server: string;
  /** Names of its libraries of functions. */
  readonly libraries: readonly string[] | undefined;
  /** How many databases it has: one, except on Valkey with `cluster-databases`. */
  readonly databases: number | undefined;
}

/** What is to become of a newcomer. A founder is a master of a new cluster: there are no keys yet that could move. */
export type NewcomerRole =
  | { readonly kind: 'master' }
  | { readonly kind: 'founder' }
  | { readonly kind: 'replica'; readonly master: NodeFacts };

/** Why a node should not become a member, or what will not work once it is one. */
export interface NewcomerFault extends Advice {
  readonly code: ClusterErrorCode;
  readonly address: string;
  readonly message: string;
  /**
   * `refused`: it cannot work at all. `forced`: it may be wanted, and is refused unless forced. `warned`: it can work for now.
   */
  readonly how: 'refused' | 'forced' | 'warned';
}

/**
 * What stands against a node becoming a member, from what it and the members say. What a node does not say counts for nothing.
 * `members` are those that it has to fit with: the masters. `mayReplace`: the caller may ask for its functions to be replaced.
 */
export function newcomerFaults(
  newcomer: NodeFacts,
  members: readonly NodeFacts[],
  role: NewcomerRole,
  mayReplace = false,
): NewcomerFault[] {
  return [
    ...fewerDatabases(newcomer, members),
    ...(role.kind === 'replica' ? copying(newcomer, role.master) : []),
    ...(role.kind === 'master' ? moving(newcomer, members) : []),
    ...ownFunctions(newcomer, role.kind === 'replica' ? [role.master] : members, mayReplace),
    ...users(newcomer, members),
    ...(role.kind === 'replica' ? following(newcomer, role.master) : followingAny(newcomer, members)),
  ];
}

/** Keys of the databases that it lacks could not move there, and a replica that is sent one exits (rdbLoadRioWithLoadingCtx). */
function fewerDatabases({ address, databases }: NodeFacts, members: readonly NodeFacts[]): NewcomerFault[] {
  const most = Math.max(...members.map((member) => member.databases ?? 0));
  if (databases === undefined || databases >= most) return [];
  return [
    {
      code: 'DATABASES_DIFFER',
      address,
      message: `${address} has fewer databases than the other nodes: ${databases}, not ${most}`,
      hint: `Set cluster-databases to ${most} in its configuration file and start it again`,
      next: [REPAIRED],
      how: 'refused',
    },
  ];
}

function copying(newcomer: NodeFacts, master: NodeFacts): NewcomerFault[] {
  const { address } = newcomer;
  const isBackRead = acceptsRdb(master, newcomer.snapshot);
  if (!acceptsRdb(newcomer, master.snapshot)) {
    const message = `Cannot make ${address} a replica of ${master.address}: ${newcomer.server} cannot read the snapshot that ${master.server} writes`;
    return [
      {
        code: 'TARGET_TOO_OLD',
        address,
        message,
        hint: `${newer(newcomer, master, isBackRead)}. To change to such servers, make a cluster of them and import the keys into it`,
        how: 'refused',
      },
    ];
  }
  if (isBackRead) return [];
  const message = `If ${address} takes over from ${master.address}, that cannot follow it: ${master.server} cannot read the snapshot that ${newcomer.server} writes`;
  return [{ code: 'TARGET_TOO_OLD', address, message, how: 'warned' }];
}

function moving(newcomer: NodeFacts, members: readonly NodeFacts[]): NewcomerFault[] {
  const { address } = newcomer;
  const unread = members.find(({ rdb }) => !acceptsRdb(newcomer, rdb));
  if (unread) {
    const message = `Cannot move keys from ${unread.address} to ${address}: ${newcomer.server} cannot read what ${unread.server} writes`;
    const hint = newer(newcomer, unread, acceptsRdb(unread, newcomer.rdb));
    return [{ code: 'TARGET_TOO_OLD', address, message, hint, next: [ANYWAY], how: 'forced' }];
  }
  const unreading = members.find((member) => !acceptsRdb(member, newcomer.rdb));
  if (!unreading) return [];
  const message = `Keys that move to ${address} cannot move back to ${unreading.address}: ${unreading.server} cannot read what ${newcomer.server} writes`;
  return [{ code: 'TARGET_TOO_OLD', address, message, how: 'warned' }];
}

function newer(newcomer: NodeFacts, member: NodeFacts, isBackRead: boolean): string {
  const back = `. The other way works: ${member.server} reads what ${newcomer.server} writes`;
  return `Use a server of the version that the cluster runs, or a newer one${isBackRead ? back : ''}`;
}

/** Clients would find them on some slots only, and a replica would lose them (rdbLoadRioWithLoadingCtx). */
function ownFunctions(
  { address, libraries = [] }: NodeFacts,
  members: readonly NodeFacts[],
  mayReplace: boolean,
): NewcomerFault[] {
  const known = new Set(members.flatMap((member) => member.libraries ?? []));
  const extra = libraries.filter((name) => !known.has(name)).sort();
  if (extra.length === 0) return [];
  const names = extra.map((name) => JSON.stringify(name)).join(', ');
  return [
    {
      code: 'NODE_NOT_EMPTY',
      address,
      message: `Node ${address} is not empty: it has libraries of functions that the cluster does not have: ${names}`,
      hint: 'Load them into every master first, or delete them there',
      next: [
        ...extra.map(
          (name): Next => ({
            do: 'command',
            node: address,
            command: ['FUNCTION', 'DELETE', name],
            when: 'not-needed',
          }),
        ),
        ...(mayReplace ? [REPLACE] : []),
      ],
      how: 'refused',
    },
  ];
}

const REPAIRED: Next = { do: 'retry', when: 'repaired' };
const REPLACE: Next = { do: 'retry', options: { functions: 'replace' }, when: 'not-needed' };
const ANYWAY: Next = { do: 'retry', options: { force: true }, when: 'anyway' };

/** Users by which clients log in to every member, but not to the newcomer. */
function users({ address, users: own }: NodeFacts, members: readonly NodeFacts[]): NewcomerFault[] {
  const known = members.flatMap((member) => (member.users ? [{ ...member, users: member.users }] : []));
  const [first, ...others] = known;
  if (!own || !first) return [];
  for (const [name, wanted] of first.users) {
    const all = [wanted, ...others.flatMap(({ users: theirs }) => theirs.get(name) ?? [])];
    const isWanted = all.length === known.length && all.every(({ isOn }) => isOn);
    const found = own.get(name);
    if (!isWanted || (found && all.some((user) => isSameLogin(found, user)))) continue;
    const isDefault = name === DEFAULT_USER;
    const isOpen = all.every((user) => user.needsNoPassword);
    const message = !found?.isOn
      ? `${address} does not have the ACL user "${name}" of the other nodes`
      : found.needsNoPassword
        ? `${address} does not require a password${isDefault ? '' : ` of the ACL user "${name}"`}, as ${first.address} does`
        : isOpen
          ? `${address} requires a password${isDefault ? '' : ` of the ACL user "${name}"`}, which ${first.address} does not`
          : `${address} has another password${isDefault ? '' : ` for the ACL user "${name}"`} than ${first.address}`;
    const { hint, next = [] } = givingLogin(address, first.address, name, isDefault && found?.isOn === true);
    return [{ code: 'CREDENTIALS_DIFFER', address, message, hint, next: [...next, ANYWAY], how: 'forced' }];
  }
  return [];
}

/** Why one node could not follow another, as a sentence about the follower. Undefined if it could, or if that is not known. */
function cannotFollow(follower: NodeFacts, master: NodeFacts): string | undefined {
  const { address } = follower;
  const user = follower.login?.user || DEFAULT_USER;
  switch (loginObstacle(follower, master)) {
    case undefined:
      return undefined;
    case 'no-masterauth':
      return `${address} has no masterauth, and ${master.address} requires a password`;
    case 'other-masterauth':
      return `masterauth of ${address} is not the password of ${master.address}${follower.login?.user ? ` for masteruser "${user}"` : ''}`;
    case 'masteruser-unknown':
      return `${master.address} does not have the user "${user}" that ${address} would log in with (masteruser)`;
    case 'masteruser-off':
      return `${master.address} has turned off the user "${user}" that ${address} would log in with (masteruser)`;
    case 'no-password-there':
      return `${address} has a masterauth, and ${master.address} refuses it: it requires no password`;
  }
}

function configuring(node: string): readonly Next[] {
  return [{ do: 'configure', node, settings: ['masteruser', 'masterauth'] }, REPAIRED];
}

function following(newcomer: NodeFacts, master: NodeFacts): NewcomerFault[] {
  const why = cannotFollow(newcomer, master);
  const { address } = newcomer;
  if (why !== undefined) {
    return [
      {
        code: 'CREDENTIALS_DIFFER',
        address,
        message: `Cannot make ${address} a replica of ${master.address}: ${why}`,
        next: configuring(address),
        how: 'refused',
      },
    ];
  }
  const back = cannotFollow(master, newcomer);
  if (back === undefined) return [];
  return [
    {
      code: 'CREDENTIALS_DIFFER',
      address: master.address,
      message: `If ${address} takes over from ${master.address}, that cannot follow it: ${back}`,
      next: [...configuring(master.address), ANYWAY],
      how: 'forced',
    },
  ];
}

/** A master may become a replica one day. If the members cannot follow one another either, it is like them. */
function followingAny(newcomer: NodeFacts, members: readonly NodeFacts[]): NewcomerFault[] {
  for (const member of members) {
    const pairs = [
      [newcomer, member],
      [member, newcomer],
    ] as const;
    for (const [follower, master] of pairs) {
      const why = cannotFollow(follower, master);
      if (why === undefined) continue;
      const isUsual = members.every((one) => cannotFollow(one, member) !== undefined);
      return [
        {
          code: 'CREDENTIALS_DIFFER',
          address: follower.address,
          message: `${follower.address} could never be a replica of ${master.address}: ${why}`,
          next: isUsual ? configuring(follower.address) : [...configuring(follower.address), ANYWAY],
          how: isUsual ? 'warned' : 'forced',
        },
      ];
    }
  }
  return [];
}

/**
 * What stands against a node that refuses to log us in, while `member` does so; undefined if it refuses something else. `reply` is
 * its error reply.
 */
export function loginRefused(
  address: string,
  member: string,
  reply: { readonly code: string; readonly message: string },
  user: string | undefined,
): NewcomerFault | undefined {
  const isNamed = user !== undefined && user !== DEFAULT_USER;
  const says = reply.message.includes('without any password configured')
    ? `does not require a password, as ${member} does`
    : reply.code === 'NOAUTH'
      ? `requires a password, which ${member} does not`
      : reply.code !== 'WRONGPASS'
        ? undefined
        : isNamed
          ? `does not accept the ACL user "${user}" with the password that ${member} accepts`
          : `has another password than ${member}`;
  if (says === undefined) return undefined;
  return {
    code: 'CREDENTIALS_DIFFER',
    address,
    message: `${address} ${says}`,
    ...givingLogin(address, member, isNamed ? user : DEFAULT_USER, !isNamed),
    how: 'refused',
  };
}

/** How to give a node a login that a member has. */
function givingLogin(address: string, member: string, user: string, bySettings: boolean): Advice {
  if (bySettings) {
    return {
      hint: `Give it the passwords of ${member}: requirepass for clients, masterauth for following a master`,
      next: [{ do: 'configure', node: address, settings: ['masterauth', 'requirepass'] }, REPAIRED],
    };
  }
  return {
    hint: `Give it this user with the password and the rules that ACL LIST shows on ${member}`,
    next: [
      { do: 'command', node: address, command: ['ACL', 'SETUSER', user, 'on', '>PASSWORD', 'RULES'] },
      REPAIRED,
    ],
  };
}
