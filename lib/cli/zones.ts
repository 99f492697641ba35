import { type Flag, type FlagValues, listFlag } from './flags.ts';
import { UsageError } from './io.ts';

/** What fails together, such as a rack or an availability zone, by node. */
export const zoneFlag: Flag = {
  type: 'string',
  multiple: true,
  value: 'NODE=ZONE',
  help: 'What fails together, such as a rack: a master and its replicas should not. Repeatable',
};

/** The zones given, by the node as it is named. */
export function zonesOf(values: FlagValues): Record<string, string> {
  return Object.fromEntries(listFlag(values, 'zone').map(readZone));
}

function readZone(text: string): [string, string] {
  const equals = text.lastIndexOf('=');
  const [node, zone] = [text.slice(0, equals), text.slice(equals + 1)];
  if (equals < 1 || zone === '') throw new UsageError(`Not a zone: "${text}" (expected NODE=ZONE)`);
  return [node, zone];
}
