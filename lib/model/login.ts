/**
 * How a node logs in to others, and how others log in to it. Fields are absent if the node refuses to say. Secrets are numbers: equal
 * numbers are equal secrets, among the nodes that were read together.
 */
export interface Credentials {
  /** How it logs in to a master: `masteruser`, which is empty for the default user, and `masterauth`. */
  readonly login?: { readonly user: string; readonly secret: number | undefined } | undefined;
  /** What `requirepass` is. */
  readonly requires?: { readonly secret: number | undefined } | undefined;
  readonly users?: AclUsers | undefined;
  /** A certificate says who logs in, and no password is needed: `tls-auth-clients-user`. */
  readonly trustsCertificates?: boolean | undefined;
}

export interface AclUser {
  readonly isOn: boolean;
  /** Any password will do, and for the default user none. */
  readonly needsNoPassword: boolean;
  readonly secrets: readonly number[];
  /** Everything else, as the server writes it. Servers of different versions write the same rules differently. */
  readonly rules: string;
}

/** ACL users by name. */
export type AclUsers = ReadonlyMap<string, AclUser>;

/** User that a node logs in as unless `masteruser` says otherwise. */
export const DEFAULT_USER = 'default';

/** Why a node could not log in to another to copy it. */
export type LoginObstacle =
  | 'no-masterauth'
  | 'other-masterauth'
  | 'masteruser-unknown'
  | 'masteruser-off'
  | 'no-password-there';

/**
 * Why a node could not log in to another to copy it; undefined if it could, or if that is not known. Without `masterauth` a replica
 * sends no AUTH and is the default user. With it and without `masteruser` it sends AUTH with one argument (syncWithMaster).
 */
export function loginObstacle(
  { login }: Pick<Credentials, 'login'>,
  { users, requires, trustsCertificates }: Omit<Credentials, 'login'>,
): LoginObstacle | undefined {
  if (!login || trustsCertificates) return undefined;
  if (login.secret === undefined) {
    const user = users?.get(DEFAULT_USER);
    const isOpen = user ? user.isOn && user.needsNoPassword : requires?.secret === undefined;
    return isOpen ? undefined : 'no-masterauth';
  }
  if (!users) {
    const isOther = login.user === '' && requires?.secret !== undefined && requires.secret !== login.secret;
    return isOther ? 'other-masterauth' : undefined;
  }
  const user = users.get(login.user || DEFAULT_USER);
  if (!user) return 'masteruser-unknown';
  if (!user.isOn) return 'masteruser-off';
  // A password alone is an error for a default user that needs none; beside a name, any password will do (authCommand).
  if (user.needsNoPassword) return login.user === '' ? 'no-password-there' : undefined;
  return user.secrets.includes(login.secret) ? undefined : 'other-masterauth';
}

/** What stands in the way, as a sentence about the node that would log in. */
export const OBSTACLE_WORDS: Readonly<Record<LoginObstacle, string>> = {
  'no-masterauth': 'a password is required, and it has no masterauth',
  'other-masterauth': 'its masterauth is not accepted',
  'masteruser-unknown': 'its masteruser is unknown there',
  'masteruser-off': 'its masteruser is off there',
  'no-password-there': 'it has a masterauth, and no password is set there',
};

/** The settings of the node that would log in that have to change. */
export function settingsAgainst(obstacle: LoginObstacle): readonly string[] {
  return obstacle.startsWith('masteruser') ? ['masteruser', 'masterauth'] : ['masterauth'];
}

/** True if a password that opens one also opens the other. */
export function isSameLogin(one: AclUser, other: AclUser): boolean {
  if (one.isOn !== other.isOn) return false;
  if (!one.isOn) return true;
  if (one.needsNoPassword || other.needsNoPassword) return one.needsNoPassword === other.needsNoPassword;
  return one.secrets.some((secret) => other.secrets.includes(secret));
}
