import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import { type ClusterView, reachableMasters, slotOwners } from '../../model/view.ts';
import type { Context } from '../../nodes/context.ts';
import { askServer } from '../../nodes/server.ts';
import type { Owners } from '../owners.ts';
import { PASSING } from '../write-keys.ts';
import { type Change, type KnownCommands, readCommands } from './key-positions.ts';
import { openLink, type ReplicationLink, type StreamPosition } from './replication-link.ts';

/** Most positions of masters that are gone that are kept for those that take their place. */
const MOST_HEIRS = 64;

/** What streams report. Called synchronously. */
export interface StreamHandlers {
  readonly onChange: (change: Change, db: number, node: string) => void;
  /** Changes of this node may have been missed: every key has to be compared. */
  readonly onGap: (node: string, reason: string) => void;
  /** A master does not send its stream to us, nor will it. */
  readonly onRefused: (node: string, reason: Error) => void;
}

interface Stream {
  readonly address: Address;
  link: ReplicationLink;
}

/** The replication streams of all masters of a cluster, as masters come, go and replace each other. */
export class SourceStreams {
  readonly #context: Context;
  readonly #owners: Owners;
  readonly #handlers: StreamHandlers;
  readonly #isOneDatabase: boolean;
  readonly #stop = new AbortController();
  /** By node id. */
  readonly #streams = new Map<string, Stream>();
  /** By node id: where a stream ended. A replica that takes the place of its master continues from there. */
  readonly #ended = new Map<string, StreamPosition>();
  /** Ids of nodes whose streams are being opened. */
  readonly #opening = new Set<string>();
  #isRefused = false;
  #cutAt = 0;

  constructor(context: Context, owners: Owners, handlers: StreamHandlers, isOneDatabase: boolean) {
    this.#context = context;
    this.#owners = owners;
    this.#handlers = handlers;
    this.#isOneDatabase = isOneDatabase;
  }

  /** Since when a stream is cut that nobody continues yet, by `performance.now()`; undefined if none is. */
  get cutSince(): number | undefined {
    return this.#ended.size > 0 ? this.#cutAt : undefined;
  }

  /** True once a master has refused to send its stream. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Where each stream is, by node id; of those that are open. */
  get positions(): ReadonlyMap<string, StreamPosition> {
    return new Map(
      [...this.#streams].flatMap(([id, { link }]) => (link.position ? [[id, link.position] as const] : [])),
    );
  }

  /**
   * Looks at the cluster, begins to open the streams that are not open, and closes those of nodes that are no masters any more. A
   * stream that cannot be opened now is tried again by a later call. Resolves to what it saw.
   */
  async refresh(): Promise<ClusterView> {
    const view = await this.#owners.refresh();
    if (this.#isRefused) return view;
    const masters = reachableMasters(view);
    const ids = new Set(masters.map(({ id }) => id));
    for (const [id, stream] of this.#streams) if (!ids.has(id)) this.#end(id, stream);
    for (const master of masters) {
      if (this.#streams.has(master.id) || this.#opening.has(master.id)) continue;
      this.#opening.add(master.id);
      this.#open(master).finally(() => this.#opening.delete(master.id));
    }
    this.#settleHeirs(view);
    return view;
  }

  /** True if every slot has an owner whose stream is open. */
  isWhole(view: ClusterView): boolean {
    const owners = new Set(slotOwners(view));
    return [...owners].every((id) => id !== undefined && this.#streams.has(id));
  }

  /** Closes all streams. Those that are being opened end with the connections. */
  close(): void {
    this.#stop.abort(new Error('it is not followed any more'));
  }

  async #open(master: { readonly id: string; readonly address: Address }): Promise<void> {
    const { id, address } = master;
    const { connections } = this.#context;
    const node = formatAddress(address);
    try {
      const [server, known] = await Promise.all([
        askServer(connections, address),
        connections.ask(address, ['COMMAND']).then((reply): KnownCommands => readCommands(reply, node)),
      ]);
      const link = await openLink(connections, address, {
        server,
        known,
        from: [...this.#ended.values()],
        isOneDatabase: this.#isOneDatabase,
        signal: this.#stop.signal,
        onChange: (change, db) => this.#handlers.onChange(change, db, node),
      });
      const { continued } = link;
      if (!continued && (await this.#mayHaveKeys(id))) {
        this.#handlers.onGap(node, 'its stream does not go back to where it was read before');
      }
      for (const [from, position] of this.#ended)
        if (position === continued || from === id) this.#ended.delete(from);
      const stream = { address, link };
      this.#streams.set(id, stream);
      link.whenEnded.then(() => this.#end(id, stream));
    } catch (error) {
      if (this.#isRefused || this.#isPassing(error)) return;
      this.#isRefused = true;
      this.#handlers.onRefused(node, error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  // A master without slots had none when its stream began, or they came with their keys.
  async #mayHaveKeys(id: string): Promise<boolean> {
    const view = await this.#owners.refresh().catch(() => undefined);
    return view?.nodes.some((node) => node.id === id && node.slots.length === 0) !== true;
  }

  #isPassing(error: unknown): boolean {
    if (this.#stop.signal.aborted || error instanceof ConnectionError) return true;
    // A replica that has no master yet answers NOMASTERLINK.
    return error instanceof ReplyError && (PASSING.has(error.code) || error.code === 'NOMASTERLINK');
  }

  #end(id: string, stream: Stream): void {
    if (this.#streams.get(id) !== stream) return;
    this.#streams.delete(id);
    const { position, address } = stream.link;
    stream.link.close();
    if (this.#stop.signal.aborted) return;
    if (this.#ended.size === 0) this.#cutAt = performance.now();
    if (position && this.#ended.size < MOST_HEIRS) this.#ended.set(id, position);
    else this.#handlers.onGap(address, 'its stream cannot be read');
  }

  // Nobody continues these: the last changes of a master that is gone may not have been read.
  #settleHeirs(view: ClusterView): void {
    if (this.#ended.size === 0 || this.#opening.size > 0 || !this.isWhole(view)) return;
    this.#ended.clear();
    this.#handlers.onGap(formatAddress(view.seed), 'a master is gone, and no other continues its stream');
  }
}
