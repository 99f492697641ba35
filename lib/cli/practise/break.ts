import type { FindingKind } from '../../findings/finding.ts';
import type { PracticeScene } from './scene.ts';

/**
 * A fault to practise on. The cluster has three masters, on the ports 7000 to 7002, and their replicas, in the same order, on 7003 to 7005.
 * Texts name them `:7000` to `:7005` whatever the ports are: `Practice` puts in the addresses that there are.
 */
export interface Break {
  /** What is broken, as a sentence without its full stop. */
  readonly what: string;
  /** The finding by which `check` shows it, if it has another name than the break. */
  readonly shows?: FindingKind;
  /** The finding by which some servers show it instead. */
  readonly or?: FindingKind;
  /** A finding that passes before it is as `what` says. */
  readonly after?: FindingKind;
  /** The servers that get into this state, or that leave it as the cure says, if not all do. */
  readonly only?: 'redis' | 'valkey';
  /** True if it can be repaired only when all nodes that were killed have been declared failed. */
  readonly isJudged?: true;
  /** What repairs it, as on the page of the finding: DIR is the folder of the servers, ID the node that the finding advises to take out. */
  readonly cure: readonly string[];
  readonly make: (scene: PracticeScene) => Promise<unknown>;
  /** Empty servers that are not in the cluster, on the ports from 7006 on. @default 0 */
  readonly spares?: number;
  /** The zone of each node, a letter, which `check` is to be given, and the cure in place of ZONES. */
  readonly zones?: string;
  /** Places of the nodes that `check` is to be asked at. @default the first node */
  readonly asks?: readonly number[];
}

/** Breaks of these names. */
export type BreaksOf<Names extends readonly string[]> = Readonly<Record<Names[number], Break>>;

export const startOf = (port: number): string => `redis-server DIR/${port}/server.conf --daemonize yes`;
export const setOn = (port: number): string => `redis-cli -p ${port} CONFIG SET`;
export const SET_ON_ALL = 'redis-trib execute :7000 CONFIG SET';
/** Patient nodes are as before. */
export const BE_QUICK: string = `${SET_ON_ALL} cluster-node-timeout 2000`;
export const rejoinOf = (places: readonly number[]): string =>
  `redis-trib rejoin ${places.map((place) => `:${7000 + place}`).join(' ')}`;
