import { formatAddress, parseAddress } from '../model/address.ts';
import { UsageError } from './io.ts';

/** What a URL of a node says. */
export interface RedisUrl {
  /** `host:port`. */
  readonly address: string;
  readonly tls: boolean;
  readonly user?: string;
  readonly password?: string;
}

const DEFAULT_PORT = 6379;

/** True of text that is meant as a URL of a Redis or Valkey node. */
export function isRedisUrl(text: string): boolean {
  return /^(rediss?|valkeys?):\/\//i.test(text);
}

/**
 * Reads `redis://[user:password@]host[:port][/0]`, and `rediss://` for TLS. As in redis-cli, what stands before the @ without a
 * colon is the password (parseRedisUri). Throws a UsageError for anything else, which never repeats the URL: it may hold a password.
 */
export function parseRedisUrl(text: string): RedisUrl {
  // The last @ ends the password, so that one with an @, a slash or a hash in it is understood.
  const match = /^(rediss?|valkeys?):\/\/(?:(.*)@)?([^@/?#]*)(\/[^?#]*)?(.*)$/is.exec(text);
  const [, scheme = '', given, place = '', path = '', more = ''] = match ?? [];
  if (path !== '' && path !== '/' && path !== '/0')
    throw new UsageError('A cluster has only database 0: the path of a URL must be empty or /0');
  if (!match || more !== '') throw notOne();
  const colon = given?.indexOf(':') ?? -1;
  const user = given === undefined || colon < 0 ? '' : decoded(given.slice(0, colon));
  const password = given === undefined ? '' : decoded(given.slice(colon + 1));
  return {
    address: addressIn(place),
    tls: /^(rediss|valkeys)$/i.test(scheme),
    ...(user === '' ? {} : { user }),
    ...(password === '' ? {} : { password }),
  };
}

function addressIn(place: string): string {
  const hasPort = /^(\[.*\]|[^:]*):\d+$/.test(place);
  if (hasPort && !isPort(place.slice(place.lastIndexOf(':') + 1)))
    throw new UsageError('Not an address: its port must be a number from 1 to 65535');
  try {
    return formatAddress(parseAddress(hasPort ? place : `${place}:${DEFAULT_PORT}`));
  } catch {
    throw notOne();
  }
}

const isPort = (digits: string): boolean => Number(digits) >= 1 && Number(digits) <= 65_535;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError('Not a URL: write a % in a user name or a password as %25');
  }
}

function notOne(): UsageError {
  return new UsageError(
    'Not an address: write host:port, or redis://[USER:PASSWORD@]HOST:PORT, with %2C for a comma in a password',
  );
}
