export type { BackupFile, BackupManifest } from './apply/backup/manifest.ts';
export { ClusterError, type ClusterErrorCode, ConnectionError, ProtocolError, ReplyError } from './errors.ts';
export type {
  ClusterEvent,
  MoveDone,
  MoveFigures,
  MoveProgress,
  MoveStart,
  MoveTotal,
  OnEvent,
} from './events.ts';
export {
  type Address,
  type AddressLike,
  type AddressMap,
  formatAddress,
  parseAddress,
} from './model/address.ts';
export { ClusterNode } from './model/cluster-node.ts';
export type { NodeDetails } from './model/details.ts';
export type { Expectation } from './model/expectation.ts';
export type { Finding, FindingKind } from './model/finding.ts';
export type { NodeRecord, OpenSlot } from './model/node.ts';
export { keySlot, SLOT_COUNT, type SlotRange, type SlotsLike } from './model/slot.ts';
export type { ClusterInfo, ClusterView, NodeReport } from './model/view.ts';
export { type AddNodeOptions, addNode } from './operations/add-node.ts';
export { applyPlan } from './operations/apply-plan.ts';
export { type BackupOptions, type BackupResult, backupCluster } from './operations/backup-cluster.ts';
export { type CheckOptions, type CheckResult, check } from './operations/check.ts';
export {
  type ClusterInfoOptions,
  type ClusterInfoResult,
  clusterInfo,
  type MasterInfo,
} from './operations/cluster-info.ts';
export { type CreateOptions, createCluster } from './operations/create-cluster.ts';
export { type DelNodeOptions, delNode } from './operations/del-node.ts';
export { type DrainOptions, drain } from './operations/drain.ts';
export { type ExecuteOptions, type ExecuteResult, execute } from './operations/execute.ts';
export { type FailoverOptions, failover } from './operations/failover.ts';
export { findSeed } from './operations/find-seed.ts';
export { type FixOptions, fixMigrating } from './operations/fix-migrating.ts';
export { type ImportOptions, type ImportResult, importKeys } from './operations/import-keys.ts';
export { type JoinOptions, joinCluster, joinNoLoad } from './operations/join-cluster.ts';
export { type ListOptions, listMasters, listNodes, type NodeList } from './operations/list-nodes.ts';
export { type MigrateOptions, migrateSlots } from './operations/migrate-slots.ts';
export { inversePlan, parsePlan } from './operations/parse-plan.ts';
export { quitCluster } from './operations/quit-cluster.ts';
export { type RebalanceOptions, rebalance } from './operations/rebalance.ts';
export { replicate } from './operations/replicate.ts';
export { type RescueOptions, rescueCluster } from './operations/rescue-cluster.ts';
export { type ReshardOptions, reshard } from './operations/reshard.ts';
export { type RestoreOptions, type RestoreResult, restoreCluster } from './operations/restore-cluster.ts';
export type { OperationResult } from './operations/result.ts';
export { rollbackPlan } from './operations/rollback-plan.ts';
export { Cluster, type ClusterLike, openCluster } from './operations/run.ts';
export {
  type NodeTimeoutResult,
  type NodeTimeoutSet,
  setNodeTimeout,
} from './operations/set-node-timeout.ts';
export { type ShutdownOptions, shutdownCluster } from './operations/shutdown-cluster.ts';
export { type StartOptions, startCluster, startClusterOnMulti } from './operations/start-cluster.ts';
export { type PlanStanding, verifyPlan } from './operations/verify-plan.ts';
export type {
  ConnectionOptions,
  ControlOptions,
  MoveLimits,
  MoveOptions,
  OperationOptions,
} from './options.ts';
export { type BalanceMove, type Balancer, BaseBalancer, baseBalancePlan } from './plan/balance.ts';
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
  type Plan,
  type PlannedLoads,
  type PlannedNode,
  type Step,
} from './plan/plan.ts';
export type { Difference } from './plan/standing.ts';
