import { readFileSync, statSync } from 'node:fs';
import { platform } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { messageOf } from '../errors.ts';
import { connectionFlags, type Flag, type FlagValues, moveFlags } from './flags.ts';
import { type Io, UsageError } from './io.ts';
import { zoneFlag } from './zones.ts';

/** Settings of a cluster under a name. */
export interface Profile {
  /** Nodes of the cluster, with commas between. */
  readonly cluster: string | undefined;
  /** Values of options. */
  readonly values: FlagValues;
}

/** Options that a profile may set: how nodes are reached, where they stand, and how fast slots move. None that answers a question. */
const OPTIONS: Readonly<Record<string, Flag>> = { ...connectionFlags, ...moveFlags, zone: zoneFlag };
const FILES = ['pass-file', 'cacert', 'cert', 'key'];
/** Permission of anyone but the owner. */
const OF_OTHERS = 0o077;

/** The file that holds the profiles. Throws a UsageError if the environment names no place for one. */
export function profilesFile({ env }: Pick<Io, 'env'>): string {
  if (env.REDIS_TRIB_CONFIG) return env.REDIS_TRIB_CONFIG;
  const folder = env.XDG_CONFIG_HOME || (env.HOME && join(env.HOME, '.config'));
  if (folder) return join(folder, 'redis-trib.json');
  throw new UsageError(
    'Profiles are read from the file that REDIS_TRIB_CONFIG names, or from ~/.config/redis-trib.json',
  );
}

/** The settings under a name. Throws a UsageError if there are none, or if others can read a password in the file. */
export function readProfile(name: string, file: string): Profile {
  const profiles = readFile(file);
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (!isObject(profile)) {
    const names = Object.keys(profiles);
    const known = names.length > 0 ? `it has ${names.join(', ')}` : 'it has none';
    throw new UsageError(`No profile "${name}" in ${file}: ${known}`, undefined, { word: name, names });
  }
  if (profile.pass !== undefined) requirePrivate(file);
  const { cluster, ...options } = profile;
  const where = `profile "${name}" in ${file}`;
  return { cluster: clusterIn(cluster, where), values: valuesIn(options, where, dirname(file)) };
}

function readFile(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read the profiles: ${messageOf(error)}`);
  }
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    // The message of JSON.parse repeats some of the text.
    throw new UsageError(`Not JSON: the profiles in ${file}`);
  }
  if (isObject(read)) return read;
  throw new UsageError(`Not profiles: ${file} (expected an object with a profile under each name)`);
}

// Windows reports no permissions.
function requirePrivate(file: string): void {
  if (platform() === 'win32' || (statSync(file).mode & OF_OTHERS) === 0) return;
  throw new UsageError(
    `Others can read ${file}, which holds a password: chmod 600 it, or write pass-file instead of pass`,
  );
}

function clusterIn(cluster: unknown, where: string): string | undefined {
  if (cluster === undefined) return undefined;
  const nodes = Array.isArray(cluster) ? cluster : [cluster];
  if (nodes.length > 0 && nodes.every((node) => typeof node === 'string' && node !== '')) return nodes.join();
  throw new UsageError(`Not nodes: "cluster" of ${where} (expected "host:port", or a list of them)`);
}

function valuesIn(options: Record<string, unknown>, where: string, folder: string): FlagValues {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => {
      const flag = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
      if (!flag || name === 'profile')
        throw new UsageError(`Not a setting: "${name}" of ${where} (expected ${namesOf().join(', ')})`);
      const read = valueIn(value, flag);
      if (read === undefined) throw new UsageError(`Not a value for "${name}" of ${where}`);
      return [name, typeof read === 'string' && FILES.includes(name) ? resolve(folder, read) : read];
    }),
  );
}

function valueIn(value: unknown, { type, multiple }: Flag): string | boolean | string[] | undefined {
  if (type === 'boolean') return typeof value === 'boolean' ? value : undefined;
  if (multiple) {
    const entries = isObject(value) ? Object.entries(value).map(([from, to]) => `${from}=${to}`) : value;
    return Array.isArray(entries) && entries.every((one) => typeof one === 'string') ? entries : undefined;
  }
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

const namesOf = (): string[] => ['cluster', ...Object.keys(OPTIONS).filter((name) => name !== 'profile')];

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
