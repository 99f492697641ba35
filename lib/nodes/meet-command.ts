import type { Command } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { type Address, formatAddress, hasDefaultBusPort, parseAddress } from '../model/address.ts';
import type { NodeRef } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';

/** Servers drop a handshake after the node timeout, and after a second at least: then a lost MEET is sent again. */
export const MEET_AGAIN_MS = 1200;

/** The command by which a node introduces itself to another. Rejects if its host name cannot be resolved. */
export async function meetCommand({ options }: Context, { address, busPort }: NodeRef): Promise<Command> {
  const target: Address = { ...parseAddress(address), ...(busPort === undefined ? {} : { busPort }) };
  const ip = await resolveHost(target, options.family);
  return ['CLUSTER', 'MEET', ip, target.port, ...(hasDefaultBusPort(target) ? [] : [target.busPort ?? 0])];
}

/** CLUSTER MEET takes IP addresses only. Resolves to the host itself if it is one. */
async function resolveHost(address: Address, family: 4 | 6 | 0 = 0): Promise<string> {
  const { isIP } = await import('node:net');
  if (isIP(address.host) !== 0) return address.host;
  try {
    const { lookup } = await import('node:dns/promises');
    return (await lookup(address.host, { family })).address;
  } catch (error) {
    const shown = formatAddress(address);
    const message = `Cannot resolve the host name of ${shown}: ${messageOf(error)}`;
    throw nodeError('NODE_UNREACHABLE', shown, message, { cause: error });
  }
}
