import { type Flag, type FlagValues, listFlag } from './flags.ts';
import { UsageError } from './io.ts';

/** Option for failure domains of nodes, such as racks or availability zones. */
export const zoneFlag: Flag = {
  type: 'string',
  multiple: true,
  value: 'NODE=ZONE',
  help: 'What fails together, such as a rack, to keep replicas out of it; repeatable',
};

/** The zones given, by node as written. */
export function zonesOf(values: FlagValues): Record<string, string> {
  return Object.fromEntries(listFlag(values, 'zone').map(readZone));
}

function readZone(text: string): [string, string] {
  const equals = text.lastIndexOf('=');
  const [node, zone] = [text.slice(0, equals), text.slice(equals + 1)];
  if (equals < 1 || zone === '') throw new UsageError(`Not a zone: "${text}" (expected NODE=ZONE)`);
  return [node, zone];
}
