import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type Address, compareAddresses } from '../model/address.ts';
import type { Context } from './context.ts';

/**
 * All addresses that a host name stands for, in order, as that of a headless service in Kubernetes stands for all of its pods. If they
 * are of both IP versions, those of one: a node has one of each. A name with one address, or none yet, stays as it is.
 */
export async function addressesOf({ connections, options }: Context, address: Address): Promise<Address[]> {
  if (isIP(address.host) !== 0) return [address];
  try {
    const found = await lookup(address.host, { all: true, family: options.family ?? 0 });
    const [first] = found;
    const same = found.filter(({ family }) => family === first?.family);
    const others = found.filter(({ family }) => family !== first?.family);
    const all = others.length > same.length ? others : same;
    if (all.length < 2) return [address];
    return all
      .map(({ address: host }) => {
        const one = { ...address, host };
        connections.learnHostname(one, address.host);
        return one;
      })
      .sort(compareAddresses);
  } catch {
    return [address];
  }
}
