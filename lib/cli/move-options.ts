import type { MoveLimits, MoveOptions } from '../options.ts';
import { type FlagValues, numberFlag } from './flags.ts';
import { UsageError } from './io.ts';

const METHODS = ['auto', 'atomic', 'migrate'] as const;

/** Redis's units: those with a b are powers of 1024. */
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1000 ** 2,
  mb: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1024 ** 3,
};

/** How to move slots, from options. Throws a UsageError for invalid or contradictory options. */
export function moveOptions(values: FlagValues): MoveOptions {
  const method = methodOf(values);
  const limits = limitsOf(values);
  if (method === 'atomic' && limits) {
    const flag = limits.keysPerSecond === undefined ? 'max-bytes-per-second' : 'max-keys-per-second';
    throw new UsageError(
      `--method atomic and --${flag} do not go together: the servers set the pace of an atomic migration`,
    );
  }
  return given({
    method,
    limits,
    maxStall: orOff(values, 'max-stall', numberFlag),
    concurrency: numberFlag(values, 'concurrency'),
    bigKeySize: orOff(values, 'big-keys', sizeFlag),
    migrateTimeout: numberFlag(values, 'timeout'),
    atomicTimeout: numberFlag(values, 'atomic-timeout'),
  });
}

/** Parses a size as in redis.conf, such as 500000, 100k or 10mb. Throws a UsageError for anything else. */
export function sizeFlag(values: FlagValues, name: string): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  const [, digits = '', unit = ''] = /^(\d+)([a-z]*)$/i.exec(`${value}`) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new UsageError(`Not a size for --${name}: "${value}" (write 500000, 100kb, 10mb or 1gb)`);
}

function methodOf({ method }: FlagValues): MoveOptions['method'] {
  if (method === undefined) return undefined;
  const known = METHODS.find((name) => name === method);
  if (known) return known;
  throw new UsageError(`Not a method: "${method}" (expected ${METHODS.join(', ')})`);
}

function limitsOf(values: FlagValues): MoveLimits | undefined {
  const limits = given({
    keysPerSecond: numberFlag(values, 'max-keys-per-second'),
    bytesPerSecond: sizeFlag(values, 'max-bytes-per-second'),
  });
  return Object.keys(limits).length > 0 ? limits : undefined;
}

function orOff(
  values: FlagValues,
  name: string,
  read: (values: FlagValues, name: string) => number | undefined,
): number | undefined {
  return values[name] === 'off' ? Number.POSITIVE_INFINITY : read(values, name);
}

type Given<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

/** Without the fields that are undefined. */
export function given<Fields extends object>(fields: Fields): Given<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Given<Fields>;
}
