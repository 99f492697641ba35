import type { ClusterEvent } from '../events.ts';
import type { OperationResult } from '../operations/carry-out.ts';
import type { EnsureResult } from '../operations/ensure-cluster.ts';
import type { FollowResult } from '../operations/follow-keys.ts';
import type { ImportResult } from '../operations/import-keys.ts';
import type { ReadyResult } from '../operations/is-ready.ts';
import type { ReplaceResult } from '../operations/replace-nodes.ts';
import type { RestartResult } from '../operations/restart.ts';
import type { RestoreResult } from '../operations/restore-cluster.ts';
import type { ClusterSnapshot } from '../operations/snapshot.ts';
import type { SpreadResult } from '../operations/spread.ts';
import type { WaitResult } from '../operations/wait-for.ts';
import type { CheckData } from './check-view.ts';
import type { BackupData } from './commands/backup.ts';
import type { BundleData } from './commands/bundle.ts';
import type { CompareData } from './commands/compare.ts';
import type { CompletionData } from './commands/completion.ts';
import type { DemoData } from './commands/demo.ts';
import type { FixData } from './commands/fix.ts';
import type { MetricsData } from './commands/metrics.ts';
import type { ReportData } from './commands/report.ts';
import type { ErrorData } from './error-view.ts';
import type { ExecuteData } from './execute-view.ts';
import type { ExplainData } from './explain-view.ts';
import type { HotData } from './hot-view.ts';
import type { InfoData } from './info-view.ts';
import type { KeysData } from './keys-view.ts';
import type { ListData } from './list-view.ts';
import type { TimeoutData } from './set-timeout-view.ts';
import type { StandingData } from './standing-view.ts';
import type { StopData } from './stop-view.ts';
import type { TopData } from './top/run-top.ts';

/** By command: what its JSON document has besides the head. The schemas in docs/schema are made from this. */
export interface Documents {
  readonly start: OperationResult;
  readonly start_multi: OperationResult;
  readonly create: OperationResult;
  readonly ensure: EnsureResult;
  readonly join: OperationResult;
  readonly join_no_load: OperationResult;
  readonly add_node: OperationResult;
  readonly replicate: OperationResult;
  readonly quit: OperationResult;
  readonly del_node: OperationResult;
  readonly prune: OperationResult;
  readonly failover: OperationResult;
  readonly drain: OperationResult;
  readonly step_down: OperationResult;
  readonly restart: RestartResult;
  readonly replace: ReplaceResult;
  readonly spread: SpreadResult;
  readonly shutdown: OperationResult;
  readonly rejoin: OperationResult;
  readonly fix: FixData;
  readonly migrate_slots: OperationResult;
  readonly reshard: OperationResult;
  readonly rebalance: OperationResult;
  readonly rescue: OperationResult;
  readonly apply: OperationResult;
  readonly verify: StandingData;
  readonly rollback: OperationResult;
  readonly list: ListData;
  readonly check: CheckData;
  readonly ok_to_stop: StopData;
  readonly is_ready: Omit<ReadyResult, 'ok'>;
  readonly wait: WaitResult;
  readonly info: InfoData;
  readonly top: TopData;
  readonly explain: ExplainData;
  readonly hot: HotData;
  readonly keys: KeysData;
  readonly report: ReportData;
  readonly metrics: MetricsData;
  readonly bundle: BundleData;
  readonly execute: ExecuteData;
  readonly call: ExecuteData;
  readonly set_timeout: TimeoutData;
  readonly import: ImportResult | FollowResult;
  readonly backup: BackupData;
  readonly restore: RestoreResult;
  readonly compare: CompareData;
  readonly demo: DemoData;
  readonly completion: CompletionData;
}

export type CommandName = keyof Documents;

/** The document of a command that ran to its end, whatever it found. */
export type Finished<Name extends CommandName> = {
  readonly version: 1;
  readonly command: Name;
  /** False if the exit code is not 0. */
  readonly ok: boolean;
} & Documents[Name];

/** The document of a command that failed. */
export interface FailureDocument {
  readonly version: 1;
  /** Null if none was recognised. */
  readonly command: CommandName | null;
  readonly ok: false;
  readonly error: ErrorData;
}

/** A line of --json-stream before the document. */
export type StreamLine =
  | { readonly version: 1; readonly event: ClusterEvent }
  | { readonly version: 1; readonly snapshot: ClusterSnapshot };

/** Every document, by command. */
export type FinishedDocuments = { readonly [Name in keyof Documents]: Finished<Name> };
