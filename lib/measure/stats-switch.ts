import { type Command, ReplyError } from '../../resp/index.ts';
import type { Address } from '../model/address.ts';
import { unlessAborted } from '../nodes/abort.ts';
import type { Context } from '../nodes/context.ts';

const SETTING = 'cluster-slot-stats-enabled';
/** Redis 8.6 does not begin to track memory while it runs, and `yes` includes that. Other servers know only `yes`. */
const ON = ['cpu net', 'yes'];

/** Makes a server count the load of its slots for a while. */
export class StatsSwitch {
  readonly #context: Context;
  readonly #address: Address;
  #before: string | undefined;

  constructor(context: Context, address: Address) {
    this.#context = context;
    this.#address = address;
  }

  /** Resolves to the refusal of a server that may not be told to. One that does not know the setting is left alone. */
  async on(): Promise<ReplyError | undefined> {
    const { connections, signal } = this.#context;
    const ask = (command: Command) =>
      unlessAborted(connections.askAll(this.#address, [command]), signal).then(([reply]) => reply);
    const reply = await ask(['CONFIG', 'GET', SETTING]);
    if (reply instanceof ReplyError) return reply;
    const value = Array.isArray(reply) ? reply[1] : undefined;
    if (typeof value !== 'string' || value !== 'no') return undefined;
    // Its answer may be lost: from here on it may be on.
    this.#before = value;
    let refusal: ReplyError | undefined;
    for (const wanted of ON) {
      const set = await ask(['CONFIG', 'SET', SETTING, wanted]);
      if (!(set instanceof ReplyError)) return undefined;
      refusal = set;
    }
    this.#before = undefined;
    return refusal;
  }

  /** Puts back what was. */
  async off(timeout: number): Promise<void> {
    if (this.#before === undefined) return;
    await this.#context.connections.askSoon(this.#address, ['CONFIG', 'SET', SETTING, this.#before], timeout);
    this.#before = undefined;
  }
}
