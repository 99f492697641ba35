export { ConnectionError, ProtocolError, ReplyError } from '../resp/index.ts';
export type { BackupFile, BackupManifest } from './copy/backup/manifest.ts';
export type { DifferenceCounts } from './copy/compare/difference-tally.ts';
export type { FunctionDifference } from './copy/compare/functions.ts';
export type { CutOver } from './copy/follow/cut-over.ts';
export type { BiggestKey, KeyFigureSums, KeyGroup, TimeToLive } from './copy/survey/key-tally.ts';
export type { KeyFigures, OtherPrefixes, PrefixFigures } from './copy/survey/prefix-tally.ts';
export type {
  BackupProgress,
  Behind,
  ClusterEvent,
  CompareProgress,
  FollowGap,
  FollowProgress,
  ImportProgress,
  MoveDone,
  MoveFigures,
  MoveProgress,
  MoveStart,
  MoveTotal,
  OnEvent,
  Restart,
  RestoreProgress,
  Stopped,
  StrayKeys,
} from './events.ts';
export type { NodeStanding, SlotStanding } from './findings/explain.ts';
export type { Finding, FindingKind } from './findings/finding.ts';
export type { StoppingNode, StopReason, Voters } from './findings/stop-verdict.ts';
export {
  type Address,
  type AddressLike,
  type AddressMap,
  formatAddress,
  parseAddress,
} from './model/address.ts';
export {
  ClusterError,
  type ClusterErrorCode,
  type ClusterErrorDetails,
  type MovedSoFar,
  type Resumable,
} from './model/cluster-error.ts';
export { ClusterNode } from './model/cluster-node.ts';
export type { ConnectedReplica, NodeDetails, NodeMemory, ReplicaLink } from './model/details.ts';
export type { Expectation, Member } from './model/expectation.ts';
export type { HotKey, HotKeyEvidence, HotNode, HotNote, HotSlot, HotVerdict } from './model/hot-spots.ts';
export type { KeyDifference, KeyState } from './model/key-difference.ts';
export type { LeftKeys, LeftReason } from './model/left-keys.ts';
export { formatMetrics, type Metric, type MetricSample } from './model/metric.ts';
export type { Advice, Next, NextAct, NextWhen } from './model/next.ts';
export type { NodeRecord, OpenSlot } from './model/node.ts';
export type { Unanswered } from './model/recording.ts';
export { formatRanges, keySlot, SLOT_COUNT, type SlotRange, type SlotsLike } from './model/slot.ts';
export type { AddressAnswer, ClusterInfo, ClusterView, LoadingProgress, NodeReport } from './model/view.ts';
export type { NodeRates } from './model/vitals.ts';
export type { SlotMove } from './move/moves-seen.ts';
export type { CommandMessage } from './nodes/command-channel.ts';
export type { LoadKind } from './nodes/slot-loads.ts';
export { type AddNodeOptions, addNode } from './operations/add-node.ts';
export { applyPlan } from './operations/apply-plan.ts';
export { type BackupOptions, type BackupResult, backupCluster } from './operations/backup-cluster.ts';
export { type BundleOptions, bundleCluster, openBundle } from './operations/bundle-cluster.ts';
export type { Bundle, BundledAnswer, BundledNode } from './operations/bundle-document.ts';
export type { OperationResult } from './operations/carry-out.ts';
export { type CheckOptions, type CheckResult, check } from './operations/check.ts';
export { Cluster, type ClusterLike, openCluster } from './operations/cluster.ts';
export {
  type ClusterInfoOptions,
  type ClusterInfoResult,
  clusterInfo,
  type MasterInfo,
} from './operations/cluster-info.ts';
export { clusterMetrics } from './operations/cluster-metrics.ts';
export { type CompareOptions, type CompareResult, compareKeys } from './operations/compare-keys.ts';
export { type CreateOptions, createCluster } from './operations/create-cluster.ts';
export { type DelNodeOptions, delNode } from './operations/del-node.ts';
export { type DrainOptions, drain } from './operations/drain.ts';
export { type EnsureOptions, type EnsureResult, ensureCluster } from './operations/ensure-cluster.ts';
export { type ExecuteOptions, type ExecuteResult, execute } from './operations/execute.ts';
export {
  type Explained,
  type Explanation,
  explain,
  type KeyStanding,
} from './operations/explain.ts';
export { type FailoverOptions, failover } from './operations/failover.ts';
export { findHotSpots, type HotSpotOptions, type HotSpotResult } from './operations/find-hot-spots.ts';
export { findSeed } from './operations/find-seed.ts';
export { type FixOptions, fixMigrating } from './operations/fix-migrating.ts';
export { type FollowOptions, type FollowResult, followKeys } from './operations/follow-keys.ts';
export { type ImportOptions, type ImportResult, importKeys } from './operations/import-keys.ts';
export { isReady, type ReadyOptions, type ReadyResult } from './operations/is-ready.ts';
export { iterate } from './operations/iterate.ts';
export { type JoinOptions, joinCluster, joinNoLoad } from './operations/join-cluster.ts';
export { type ListOptions, listMasters, listNodes, type NodeList } from './operations/list-nodes.ts';
export { type MigrateOptions, migrateSlots } from './operations/migrate-slots.ts';
export { type OkToStopOptions, type OkToStopResult, okToStop } from './operations/ok-to-stop.ts';
export { inversePlan, parsePlan } from './operations/parse-plan.ts';
export { prune } from './operations/prune.ts';
export { quitCluster } from './operations/quit-cluster.ts';
export { type RebalanceOptions, rebalance } from './operations/rebalance.ts';
export { type RejoinOptions, rejoinCluster } from './operations/rejoin-cluster.ts';
export {
  type NodeReplacement,
  type ReplaceOptions,
  type ReplaceResult,
  replaceNodes,
} from './operations/replace-nodes.ts';
export { replicate } from './operations/replicate.ts';
export { type RescueOptions, rescueCluster } from './operations/rescue-cluster.ts';
export { type ReshardOptions, reshard } from './operations/reshard.ts';
export { type RestartOptions, type RestartResult, restart } from './operations/restart.ts';
export { type RestoreOptions, type RestoreResult, restoreCluster } from './operations/restore-cluster.ts';
export { rollbackPlan } from './operations/rollback-plan.ts';
export {
  type NodeTimeoutResult,
  type NodeTimeoutSet,
  setNodeTimeout,
} from './operations/set-node-timeout.ts';
export { type ShutdownOptions, shutdownCluster } from './operations/shutdown-cluster.ts';
export type { ClusterSnapshot, NodeVitals, OperatorSeen } from './operations/snapshot.ts';
export { type SpreadOptions, type SpreadResult, spread } from './operations/spread.ts';
export { type StartOptions, startCluster, startClusterOnMulti } from './operations/start-cluster.ts';
export { type StepDownOptions, stepDown } from './operations/step-down.ts';
export { type SurveyBackupOptions, surveyBackup } from './operations/survey-backup.ts';
export {
  type KeySurvey,
  type SummingOptions,
  type SurveyedSource,
  type SurveyKeysOptions,
  surveyKeys,
} from './operations/survey-keys.ts';
export { type PlanStanding, verifyPlan } from './operations/verify-plan.ts';
export {
  type WaitCondition,
  type WaitOptions,
  type WaitResult,
  waitFor,
} from './operations/wait-for.ts';
export { type WatchOptions, watch } from './operations/watch.ts';
export type {
  ConnectionOptions,
  ControlOptions,
  MoveLimits,
  MoveOptions,
  NewcomerOptions,
  OperationOptions,
  OwnFunctions,
  ServerToRestart,
} from './options.ts';
export {
  type BalanceMove,
  type BalancePlan,
  type Balancer,
  BaseBalancer,
  baseBalancePlan,
} from './plan/balance.ts';
export {
  planRebalance,
  planReshard,
  type RebalancePlanOptions,
  type ReshardPlanOptions,
} from './plan/from-view.ts';
export {
  type BigKey,
  describeStep,
  type FailoverMode,
  type MoveContent,
  type MoveStep,
  type NodeReason,
  type NodeRef,
  type NodeZone,
  type Plan,
  type PlannedLoads,
  type PlannedNode,
  type RunningNode,
  type Step,
  type StrayAnswer,
} from './plan/plan.ts';
export type { Difference } from './plan/plan-differences.ts';
export type { MastersAt } from './plan/spread.ts';
