import type { Command } from '../command.ts';
import { type FlagValues, numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';

export const keysCommand: Command<'keys'> = {
  name: 'keys',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Sum up the keys by prefix, type and time to live, and list the biggest',
  details:
    'Reads replicas if they are in sync, else the masters. With --dir, reads a backup instead of a cluster: keys --dir DIR.\n' +
    'Exit code 1 if something could not be read to its end. Changes nothing.',
  example: '127.0.0.1:7000 --depth 2 --top 10',
  flags: {
    dir: { type: 'string', value: 'DIR', help: 'Read a backup that "backup" has written' },
    match: { type: 'string', value: 'PATTERN', help: 'Only keys that match, as in SCAN' },
    depth: { type: 'string', value: 'N', help: 'Parts of a key that make its prefix (1)' },
    separator: { type: 'string', value: 'TEXT', help: 'What ends a part of a key (:)' },
    top: { type: 'string', value: 'N', help: 'Prefixes and big keys to list (20)' },
    sample: { type: 'string', value: 'N', help: 'Look at N random keys of each shard instead of at all' },
    'max-keys-per-second': { type: 'string', value: 'N', help: 'Keys to look at per second at most' },
    timeout: { type: 'string', value: 'MS', help: 'Time to read; then what was found is shown (3600000)' },
  },
  reads: 'dir',
  run: async ({ positionals: [cluster], options, values }) => {
    const summing = summingOptions(values);
    const { surveyed } = await import('../keys-view.ts');
    if (typeof values.dir === 'string') {
      for (const name of ['sample', 'max-keys-per-second', 'timeout'])
        if (values[name] !== undefined) throw new UsageError(`--dir and --${name} do not go together`);
      const { surveyBackup } = await import('../../operations/survey-backup.ts');
      return surveyed(await surveyBackup(values.dir, { ...options, ...summing }));
    }
    const sample = numberFlag(values, 'sample');
    const timeout = numberFlag(values, 'timeout');
    const keysPerSecond = numberFlag(values, 'max-keys-per-second');
    const { surveyKeys } = await import('../../operations/survey-keys.ts');
    const survey = await surveyKeys(cluster ?? '', {
      ...options,
      ...summing,
      ...(sample === undefined ? {} : { sample }),
      ...(timeout === undefined ? {} : { timeout }),
      ...(keysPerSecond === undefined ? {} : { limits: { keysPerSecond } }),
    });
    return surveyed(survey);
  },
};

function summingOptions(values: FlagValues) {
  const [depth, top] = [numberFlag(values, 'depth'), numberFlag(values, 'top')];
  const { match, separator } = values;
  if (separator === '') throw new UsageError('--separator is empty');
  return {
    ...(depth === undefined ? {} : { depth }),
    ...(top === undefined ? {} : { top }),
    ...(typeof match === 'string' ? { match } : {}),
    ...(typeof separator === 'string' ? { separator } : {}),
  };
}
