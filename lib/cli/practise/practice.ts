import { ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import type { Finding, FindingKind } from '../../findings/finding.ts';
import { parseAddress } from '../../model/address.ts';
import { notReached, waitUntil } from '../../nodes/wait-until.ts';
import { check } from '../../operations/check.ts';
import { findingsText } from '../check-view.ts';
import { rows } from '../markdown.ts';
import type { Break } from './break.ts';
import { breaks } from './breaks.ts';
import { BREAKS, type BreakName } from './names.ts';
import { type PracticeScene, tell } from './scene.ts';

const SHOWN_MS = 60_000;
const PAUSE_MS = 300;
/** Nodes that were killed are to be noticed soon. */
const PATIENCE = { connectTimeout: 1000, commandTimeout: 3000 };

/** What `demo --break` lists. */
export function listBreaks(columns: number): string {
  const width = Math.max(...BREAKS.map((name) => name.length));
  return [
    'Faults to practise on: redis-trib demo --break NAME',
    ...rows(
      BREAKS.map((name) => [name, withAddresses(breaks[name].what)]),
      width + 1,
      columns,
    ),
  ].join('\n');
}

/** What stands for the ports from 7000, and for what else breaks name by a placeholder. */
interface Names {
  readonly ports: readonly number[];
  readonly dir: string;
  readonly program: string;
  readonly id?: string | undefined;
}

function withAddresses(text: string): string {
  return text.replace(/(?<= |,|^):(?=70\d\d)/g, '127.0.0.1:');
}

/** As the pages of the findings are written. */
const ON_PAGES: Names = {
  ports: Array.from({ length: 12 }, (_, place) => 7000 + place),
  ...{ dir: 'DIR', program: 'redis-server' },
};

function cannotBreak(why: string, options: { readonly cause?: Error } = {}): ClusterError {
  const hint = 'Another one may: name its program with --server';
  return new ClusterError('COMMAND_REFUSED', `Cannot break it, since ${why}`, { ...options, hint });
}

/** A break: how it is brought about, how it shows, and what repairs it. */
export class Practice {
  /** The finding by which it shows. */
  readonly kind: FindingKind;
  /** How many empty servers it needs. */
  readonly spares: number;
  /** The servers on which it can be practised, if not on all. */
  readonly only: Break['only'];
  readonly #break: Break;
  #names = ON_PAGES;

  constructor(name: BreakName) {
    this.#break = breaks[name];
    this.kind = this.#break.shows ?? (name as FindingKind);
    this.spares = this.#break.spares ?? 0;
    this.only = this.#break.only;
  }

  /** The command that shows it. */
  get look(): string {
    return this.#named(`redis-trib check ${this.#asked().join()}${this.#zoneWords()}`);
  }

  /** The commands that repair it, in this order. Before it has begun, they are those of the page of its finding. */
  get cure(): readonly string[] {
    return this.#break.cure.map((line) => this.#named(line.replace(' ZONES', this.#zoneWords())));
  }

  /**
   * Breaks a cluster. Resolves when `check` has found the same twice and the break is among that, to a text: what was done, what is found,
   * and what to type.
   */
  async begin(scene: PracticeScene, program: string): Promise<string> {
    const { nodes, dir } = scene.servers;
    this.#names = { ports: nodes.map((node) => parseAddress(node).port), dir, program };
    // What is found afterwards is to come from the break.
    await this.#until(
      'check to find nothing',
      { asked: [nodes[0] ?? ''] },
      scene,
      (findings) => findings.length === 0,
    );
    const isValkey = /^valkey_version:/m.test(`${await tell(scene, 0, ['INFO', 'server'])}`);
    if (this.only === (isValkey ? 'redis' : 'valkey'))
      throw cannotBreak(`it needs ${isValkey ? 'a Redis' : 'a Valkey'} server`);
    await this.#break.make(scene).catch((error: unknown) => {
      throw error instanceof ReplyError
        ? cannotBreak(`this server refuses: ${error.message}`, { cause: error })
        : error;
    });
    const findings = await this.#shown(scene);
    const advice = findings.flatMap(({ next = [] }) => next);
    this.#names = { ...this.#names, id: advice.find((one) => one.do === 'del-node')?.node };
    const zone = this.#zones().map((words) => words.join('='));
    const lines = await findingsText(findings, { zone });
    return [
      `Broken: ${this.#named(this.#break.what)}`,
      `${this.look} finds:`,
      ...lines.map((line) => `  ${line}`),
      'What repairs it, in another terminal:',
      ...this.cure.map((line) => `  ${line}`),
      `What it means: redis-trib help findings ${this.kind}`,
    ].join('\n');
  }

  /** All that is found, when the break is among that for the second time: nodes may still settle how they see it. */
  #shown(scene: PracticeScene): Promise<readonly Finding[]> {
    let times = 0;
    const asked = this.#asked().map((node) => this.#named(node));
    const zones = Object.fromEntries(this.#zones());
    return this.#until(`check to find ${this.kind}`, { asked, zones }, scene, (findings) => {
      const { isJudged = false, or = this.kind, after } = this.#break;
      const kinds = new Set(findings.map(({ kind }) => kind));
      const isWaiting = !kinds.has('node-failed') || kinds.has('node-unreachable');
      const isYet = (isJudged && isWaiting) || (after !== undefined && kinds.has(after));
      times = (kinds.has(this.kind) || kinds.has(or)) && !isYet ? times + 1 : 0;
      return times === 2;
    });
  }

  #until(
    what: string,
    {
      asked: [seed = '', ...elsewhere],
      zones = {},
    }: { readonly asked: readonly string[]; readonly zones?: Readonly<Record<string, string>> },
    { signal, onEvent = () => {} }: PracticeScene,
    isEnough: (findings: readonly Finding[]) => boolean,
  ): Promise<readonly Finding[]> {
    return waitUntil({ what, timeoutMs: SHOWN_MS, pauseMs: PAUSE_MS, signal, emit: onEvent }, async () => {
      const { findings } = await check(seed, { ...PATIENCE, elsewhere, zones, signal });
      if (isEnough(findings)) return { done: findings };
      const missing = [`it finds ${findings.map(({ kind }) => kind).join(', ') || 'nothing'}`];
      return { missing, giveUp: (elapsedMs) => notReached(what, elapsedMs, missing) };
    });
  }

  #asked(): readonly string[] {
    const { asks = [0] } = this.#break;
    return asks.map((place) => `:${7000 + place}`);
  }

  #named(text: string): string {
    const { ports, dir, program, id = 'ID' } = this.#names;
    return withAddresses(text)
      .replace(/\b70(\d\d)\b/g, (port, place) => `${ports[Number(place)] ?? port}`)
      .replace(/^redis-server\b/, program)
      .replace(/\bDIR\b/, dir)
      .replace(/\bID$/, id);
  }

  #zones(): readonly (readonly [node: string, zone: string])[] {
    return [...(this.#break.zones ?? '')].map((zone, place) => [this.#named(`:${7000 + place}`), zone]);
  }

  #zoneWords(): string {
    return this.#zones()
      .map(([node, zone]) => ` --zone ${node}=${zone}`)
      .join('');
  }
}
