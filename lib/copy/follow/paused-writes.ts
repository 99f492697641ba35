import { type Address, formatAddress } from '../../model/address.ts';
import { type ClusterView, reachableMasters } from '../../model/view.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { askInfo, type NodeInfo, numberOf } from '../../nodes/node-info.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { askServer } from '../../nodes/server.ts';
import type { KeySource } from '../key-source.ts';

/** The pause must still last this long when all is done: nothing was written then. */
const SPARE_MS = 250;
/** A node that does not answer must not delay the others, whose writes are to go on. */
const UNPAUSE_MS = 2000;

/** Rejects with ClusterError `METHOD_UNSUPPORTED` if a master of the source cannot pause writes alone. */
export async function requirePause({ context, view, name }: KeySource): Promise<void> {
  for (const { address } of view ? writableMasters(view) : []) {
    const server = await askServer(context.connections, address);
    if (server.capabilities.pausesWrites) continue;
    const at = formatAddress(address);
    const message = `Cannot cut over from ${name}: ${at} runs ${server.name}, which cannot pause writes and still be read`;
    throw nodeError('METHOD_UNSUPPORTED', at, message, {
      hint: 'Nothing was changed. Follow it without a cut-over, stop its clients once no key is behind, then interrupt and compare',
    });
  }
}

/** The masters that take writes. */
export function writableMasters(view: ClusterView): { readonly id: string; readonly address: Address }[] {
  return reachableMasters(view).filter(({ slots }) => slots.length > 0);
}

/** Writes that are paused on some masters, for a bounded time. */
export class PausedWrites {
  readonly #context: Context;
  readonly #masters: readonly { readonly id: string; readonly address: Address }[];
  readonly #timeoutMs: number;
  #startedAt = 0;
  /** By node id: the replication id, which a restart changes. */
  readonly #histories = new Map<string, string>();

  constructor(
    context: Context,
    masters: readonly { readonly id: string; readonly address: Address }[],
    timeoutMs: number,
  ) {
    this.#context = context;
    this.#masters = masters;
    this.#timeoutMs = timeoutMs;
  }

  get nodes(): string[] {
    return this.#masters.map(({ address }) => formatAddress(address));
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  get leftMs(): number {
    return Math.max(0, this.#timeoutMs - this.elapsedMs);
  }

  /** Time to be done in. */
  get timeLeftMs(): number {
    return Math.max(0, this.leftMs - SPARE_MS);
  }

  async begin(): Promise<void> {
    const { connections, emit } = this.#context;
    for (const [id, info] of await this.#ask()) this.#histories.set(id, info.get('master_replid') ?? '');
    this.#startedAt = performance.now();
    await inParallel(this.#masters, ({ address }) =>
      connections.ask(address, ['CLIENT', 'PAUSE', Math.ceil(this.#timeoutMs), 'WRITE']),
    );
    emit({ type: 'writes-paused', nodes: this.nodes, forMs: this.#timeoutMs });
  }

  /** Also after an abort. What does not answer resumes when its time is up. */
  async undo(): Promise<void> {
    if (this.#startedAt === 0) return;
    const { connections, emit } = this.#context;
    const resumed: string[] = [];
    await inParallel(this.#masters, async ({ address }) => {
      const name = formatAddress(address);
      try {
        await connections.askSoon(address, ['CLIENT', 'UNPAUSE'], UNPAUSE_MS);
        resumed.push(name);
      } catch {
        const left = Math.ceil(this.leftMs / 1000);
        emit({
          type: 'warning',
          node: name,
          message: `${name} does not answer: it resumes writes in ${left} s`,
        });
      }
    });
    emit({ type: 'writes-resumed', nodes: resumed });
  }

  /** How far each master has written, by node id. Throws if a master may have begun to take writes. */
  async ends(view: ClusterView): Promise<ReadonlyMap<string, number>> {
    const ids = writableMasters(view).map(({ id }) => id);
    const infos = await this.#ask();
    const changed = this.#masters.find(
      ({ id }) => !ids.includes(id) || infos.get(id)?.get('master_replid') !== this.#histories.get(id),
    );
    if (changed || ids.length !== this.#masters.length) {
      const name = formatAddress(changed?.address ?? view.seed);
      const message = `The masters of the source changed while writes were paused: ${name} may have taken some`;
      throw nodeError('NOT_REACHED', name, message, { resumable: 'same-call' });
    }
    return new Map([...infos].map(([id, info]) => [id, numberOf(info, 'master_repl_offset')]));
  }

  async #ask(): Promise<ReadonlyMap<string, NodeInfo>> {
    return new Map(
      await inParallel(this.#masters, async ({ id, address }) => [
        id,
        await askInfo(this.#context.connections, address, ['replication']),
      ]),
    );
  }
}
