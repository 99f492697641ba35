import { invalidArgument } from './model/cluster-error.ts';
import type { OperationOptions } from './options.ts';

type Defaulted =
  | 'tls'
  | 'connectTimeout'
  | 'commandTimeout'
  | 'method'
  | 'maxStall'
  | 'concurrency'
  | 'limits'
  | 'bigKeySize'
  | 'migrateTimeout'
  | 'atomicTimeout'
  | 'dryRun'
  | 'agreeTimeout'
  | 'restartTimeout'
  | 'wait'
  | 'force';

type Resolved = {
  readonly [Name in Defaulted]: Exclude<OperationOptions[Name], undefined>;
};

/** The options that have a default, each with its value. Resolved once, when an operation begins. */
export interface Settings extends Resolved {
  /** True if `migrateTimeout` was not given: MIGRATE of a big key gets more time then. */
  readonly migrateTimeoutGrows: boolean;
  /** True if `agreeTimeout` was not given: servers with a long node timeout get more time then. */
  readonly agreeTimeoutGrows: boolean;
}

/**
 * Fills in the defaults. This is the only place that has them; `@default` in options.ts says the same.
 * Throws ClusterError `INVALID_ARGUMENT` for a value that no operation can work with: a wait that compares with NaN never ends.
 */
export function settingsOf(options: OperationOptions): Settings {
  const settings: Settings = {
    tls: options.tls ?? false,
    connectTimeout: options.connectTimeout ?? 5000,
    commandTimeout: options.commandTimeout ?? 10_000,
    method: options.method ?? 'auto',
    maxStall: options.maxStall ?? 5,
    concurrency: options.concurrency ?? 8,
    // The caller's own object: limits may be changed while slots move.
    limits: options.limits ?? {},
    bigKeySize: options.bigKeySize ?? 8 * 1024 * 1024,
    // While the target is frozen MIGRATE blocks the source: much less than a node timeout.
    migrateTimeout: options.migrateTimeout ?? 2000,
    migrateTimeoutGrows: options.migrateTimeout === undefined,
    atomicTimeout: options.atomicTimeout ?? 60_000,
    dryRun: options.dryRun ?? false,
    agreeTimeout: options.agreeTimeout ?? 60_000,
    agreeTimeoutGrows: options.agreeTimeout === undefined,
    restartTimeout: options.restartTimeout ?? 300_000,
    // The connections of a run that was killed are gone as soon as the server gets to it.
    wait: options.wait ?? 2000,
    force: options.force ?? false,
  };
  requireUsable(settings);
  return settings;
}

/** Defaults of options that only one operation has. */
export const DEFAULTS: {
  readonly start: { readonly maxSlots: number };
  readonly create: { readonly replicas: number; readonly order: 'in-turn' };
  readonly ensure: { readonly replicas: number };
  readonly rebalance: {
    readonly by: 'slots';
    readonly threshold: number;
    readonly useEmptyMasters: boolean;
  };
  readonly compare: { readonly rounds: number };
  readonly follow: { readonly cutoverTimeout: number };
  readonly backup: { readonly concurrency: number; readonly idleTimeout: number };
  readonly failover: { readonly mode: 'graceful' };
  readonly restore: { readonly strayKeys: 'keep' };
  readonly fix: { readonly strayKeys: 'keep'; readonly oneSided: 'finish' };
  readonly stepDown: { readonly within: number };
  readonly wait: { readonly conditions: readonly ('serving' | 'agreed')[]; readonly timeout: number };
  readonly watch: { readonly intervalMs: number };
  readonly surveyKeys: {
    readonly separator: string;
    readonly depth: number;
    readonly top: number;
    readonly timeout: number;
  };
  readonly findHotSpots: { readonly forMs: number; readonly top: number };
} = {
  start: { maxSlots: 16_384 },
  create: { replicas: 0, order: 'in-turn' },
  ensure: { replicas: 0 },
  rebalance: { by: 'slots', threshold: 2, useEmptyMasters: false },
  compare: { rounds: 3 },
  follow: { cutoverTimeout: 30_000 },
  backup: { concurrency: 4, idleTimeout: 60_000 },
  failover: { mode: 'graceful' },
  restore: { strayKeys: 'keep' },
  fix: { strayKeys: 'keep', oneSided: 'finish' },
  // Kubernetes gives a pod 30 s by default.
  stepDown: { within: 25_000 },
  wait: { conditions: ['serving', 'agreed'], timeout: 60_000 },
  watch: { intervalMs: 1000 },
  surveyKeys: { separator: ':', depth: 1, top: 20, timeout: 3_600_000 },
  findHotSpots: { forMs: 10_000, top: 10 },
};

const METHODS: readonly unknown[] = ['auto', 'atomic', 'migrate'] satisfies Settings['method'][];

function requireUsable(settings: Settings): void {
  if (!METHODS.includes(settings.method))
    throw invalidArgument(`Not a method: "${settings.method}" (expected auto, atomic or migrate)`);
  requireFrom(1, 'concurrency', settings);
  for (const name of [
    'connectTimeout',
    'commandTimeout',
    'maxStall',
    'bigKeySize',
    'migrateTimeout',
    'atomicTimeout',
    'agreeTimeout',
    'restartTimeout',
    'wait',
  ] as const)
    requireFrom(0, name, settings);
}

function requireFrom(least: number, name: keyof Settings, settings: Settings): void {
  const value = settings[name];
  if (typeof value === 'number' && value >= least) return;
  throw invalidArgument(`Not a number from ${least} up for ${name}: "${value}"`);
}
