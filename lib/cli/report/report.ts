import type { SlotOwner } from '../slot-map.ts';

/** A page about a cluster or a plan, as data. All text may come from nodes: what writes it out must escape it. */
export interface Report {
  readonly title: string;
  /** Under the title: state, time, version. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** False if something is wrong. */
  readonly ok: boolean;
  /** In one sentence. */
  readonly verdict: string;
  /** What was found, in their order; undefined if nothing was looked for. */
  readonly findings: readonly ReportedFinding[] | undefined;
  readonly maps: readonly ReportMap[];
  readonly tables: readonly ReportTable[];
  /** What would be done, in this order. */
  readonly steps: readonly string[];
}

export interface ReportedFinding {
  readonly severity: 'error' | 'warning' | 'info';
  readonly kind: string;
  readonly message: string;
  /** What to do next; may have several lines. */
  readonly hint: string | undefined;
}

/** Who owns which slots. */
export interface ReportMap {
  readonly title: string;
  readonly owners: readonly SlotOwner[];
  /** By slot: how many keys it has, NaN if that is not known. @default not shown */
  readonly keys?: Float64Array | undefined;
}

export interface ReportTable {
  readonly title: string;
  readonly head: readonly string[];
  /** Columns of numbers, from 0. */
  readonly numeric: readonly number[];
  readonly rows: readonly (readonly string[])[];
}
