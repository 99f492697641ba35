/**
 * For each place that gives advice, the test that carries it out from the situation in which it is given, as `file: part of the
 * title`, or `unit/file: …` if real servers are hardly brought into that situation. Acts that only look (`check`, `list`) are left out. tests/unit/advice.test.ts holds it to the sources.
 */
export const followed: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'apply/atomic-tasks.ts requireNoOtherTask': {
    'wait (moves-done)': 'atomic: waits for another migration of the same slots',
    'retry {force} (anyway)': 'preflight: refuses while the servers move other slots',
  },
  'apply/claim.ts otherOperator': {
    'wait (other-operator-done)': 'operators: the second waits as long as it is told to',
    'retry {force} (no-other-operator)': 'operators: the second proceeds with `force`',
  },
  'apply/databases.ts requireTargetDatabases': { 'retry (repaired)': 'newcomers: if it has fewer databases' },
  'apply/last-copy.ts requireCopies': {
    rejoin: 'leave: keeps a replica that has the last copy of keys',
    'retry {force} (anyway)': 'leave: resets a replica with the last copy of keys if forced',
  },
  'apply/needed-commands.ts requireCommands': {
    'restart-node': 'newcomers: if its slots could not move for want of MIGRATE',
    'retry {force} (anyway)': 'acl: is missing, before a slot is opened',
  },
  'apply/writable.ts requireWritable': {
    configure: 'preflight: refuses keys from or for a master that lacks replicas',
    'retry (after-that)': 'preflight: refuses keys from or for a master that lacks replicas',
    'retry (repaired)': 'preflight: refuses keys from or for a master that cannot save',
  },
  'apply/steps/close-slots.ts close': {
    'retry (repaired)': 'fix-hung-replica: and the same call closes all later',
  },
  'apply/steps/failover.ts requireClosedAt': {
    'fix (not-moving)': 'restart: stops before a failover if a slot was opened in the meantime',
    'retry (after-that)': 'restart: stops before a failover if a slot was opened in the meantime',
  },
  'apply/steps/failover.ts wayOn': {
    'failover {mode} (master-silent)': 'del-node: refuses if the master does not answer, unless forced',
    'failover {mode} (too-few-masters-to-vote)': 'advice-dead: that too few can vote against',
  },
  'apply/steps/replicate-master.ts ONCE_REPAIRED': {
    'retry (repaired)': 'advice-roles: whose only replica has no link',
  },
  'apply/steps/reset.ts onlyResetLeft': {
    'quit (answers)': 'roles: end for a leaver that all others have forgotten',
  },
  'apply/steps/reset.ts requireNoFollowers': {
    'quit (not-needed)': 'leave: leaves a node alone that another follows',
    'retry (after-that)': 'leave: leaves a node alone that another follows',
    'retry (answers)': 'leave: leaves a node alone that another follows which hangs',
  },
  'apply/steps/restart.ts notBackInTime': {
    'start-node': 'restart: stops where a server does not come back, and goes on',
  },
  'apply/steps/restart.ts sayWhatIsLeft': {
    'retry {only}': 'restart: stops where a server does not come back, and goes on',
  },
  'apply/steps/take-slots.ts takeSlots': { 'retry (repaired)': 'advice-slots: that a node may not take' },
  'cli/compat/scene.ts requireSane': { fix: 'fix: finishes a move that only its owner has open' },
  'cli/error-view.ts describeInterruption': {
    retry: 'cli-interrupt: continues when the same command is run again',
  },
  'cli/error-view.ts errorData': { retry: 'cli-interrupt: continues when the same command is run again' },
  'copy/import-source.ts openSource': {
    'retry {fromCluster}': 'import-cluster: refuses, before anything is written, a source',
    'migrate-slots (same-cluster)': 'import: refuses a node of a cluster',
  },
  'copy/import-source.ts matchDatabases': { 'retry {databases}': 'import: imports one database at a time' },
  'copy/backup/restore-functions.ts restoreFunctions': {
    'retry {replace}': 'restore: loads functions into the masters, and keeps other ones',
    'command (not-needed)': 'restore: loads functions into the masters, and keeps other ones',
  },
  'copy/copy-tally.ts leftBehind': {
    'retry (repaired)': 'big-keys: copies no stream under the name that it has while it leaves the source',
  },
  'copy/copy-tally.ts OVERWRITE': {
    'retry (repaired)': 'restore: continues after an interruption',
    'retry {replace}': 'import: keeps keys that have another value in the cluster',
  },
  'copy/target-steadiness.ts lossesOf': {
    configure: 'import-failover: is named, and takes them once it has room',
    'retry (after-that)': 'import-failover: is named, and takes them once it has room',
    'retry {force} (anyway)': 'import-failover: is named, and takes them once it has room',
  },
  'copy/copy-tally.ts CopyTally': {
    'retry {replace} (after-that)': 'import: loses no write to the source while keys are moved',
  },
  'copy/write-keys.ts AGAIN': { 'retry (repaired)': 'import: stops if a master is full or refuses to write' },
  'copy/write-keys.ts refused': {
    configure: 'import: stops if a master is full or refuses to write',
  },
  'errors.ts badReply': { command: 'unit/advice-scripted: A server that answers nonsense shows it' },
  'findings/bus-findings.ts badAddress': {
    configure: 'newcomers: if it announces an IP address that is none',
  },
  'findings/bus-findings.ts staleEntries': {
    'del-node (gone-for-good)': 'advice-dead: a name without an address',
  },
  'findings/condition-words.ts onLoading': {
    'wait (answers)': 'conditions: keeps its slots while it is loading',
  },
  'findings/condition-words.ts adviceOn': {
    'retry (repaired)': 'conditions: keeps its slots while it runs without cluster support',
    'wait (declared-failed)': 'del-node: removes a replica, and a dead one',
    'start-node': 'advice-dead: without a replica: start it',
    'rejoin (moved)': 'rejoin: brings a cluster together whose addresses are all new',
  },
  'cli/commands/fix.ts insteadOf': {
    'rejoin (forgotten)': 'evidence: keeps its slots and keys, and is introduced again',
  },
  'findings/condition-words.ts introducing': {
    'rejoin (forgotten)': 'evidence: keeps its slots and keys, and is introduced again',
  },
  'plan/open-slots.ts wayTo': {
    'migrate-slots {resume} (took-its-place)':
      'del-node: refuses a dead target whose replica has what had arrived',
  },
  'plan/uncovered.ts mayBeForgotten': {
    'retry {force} (anyway)': 'evidence: keeps its slots and keys, and is introduced again',
  },
  'findings/condition-words.ts unjudged': {
    'del-node {force} (gone-for-good)': 'advice-dead: that nobody is left to declare failed',
    'fix {withUnreachableMasters, force} (gone-with-its-keys)':
      'advice-dead: that nobody is left to declare failed',
  },
  'findings/condition-words.ts rejoining': {
    rejoin: 'rejoin: takes masters that have all changed places',
  },
  'findings/condition-words.ts givingUp': {
    'del-node (gone-for-good)': 'advice-dead: without a replica: start it',
    'rescue (gone-with-its-keys)': 'conditions: that came back empty leaves its slots uncovered',
    'fix {withUnreachableMasters} (gone-with-its-keys)': 'advice-dead: its slots go to the others',
  },
  'findings/condition-words.ts takeovers': {
    'failover {mode}': 'advice-dead: whose replica lives',
    'failover {mode} (too-few-masters-to-vote)': 'advice-dead: that too few can vote against',
  },
  'findings/findings.ts bringingBack': {
    'start (alone)': 'start: gives all slots to one node, and reports it',
    'start-node': 'advice-dead: without a replica: start it',
    'failover {mode} (has-replica)': 'advice-dead: whose replica lives',
    'fix (no-owner)': 'fix-uncovered: gives it to the only master that holds keys of it',
    'rescue (gone-with-its-keys)': 'fault-rescue: gives the slots of a failed master to a new one',
  },
  'findings/findings.ts open': { 'fix (not-moving)': 'fix: finishes a move that is open on both sides' },
  'findings/findings.ts contested': {
    'fix (stays)': 'advice-slots: to repair it, which deletes no key without an answer',
  },
  'findings/findings.ts disagreements': {
    'fix (stays)': 'fix-uncovered: gives it back to the node with its keys',
  },
  'findings/follow-findings.ts replicaChains': {
    'replicate (stays)': 'advice-roles: whose replica has one of its own',
  },
  'findings/follow-findings.ts misdirected': {
    replicate: 'unit/replicate-master: is told again if it asks for it elsewhere',
  },
  'findings/follow-findings.ts sharedShards': { replicate: 'advice: a master without slots in its shard' },
  'findings/hot-spots.ts unevenVerdict': {
    'rebalance {by}': 'hot: advises to rebalance if that helps, and it does',
  },
  'findings/newcomer-faults.ts ownFunctions': {
    'command (not-needed)': 'join: gives a new master the functions of the others',
  },
  'findings/newcomer-faults.ts REPAIRED': {
    'retry (repaired)': 'newcomers: if it requires no password, and fits once it has the one',
  },
  'findings/newcomer-faults.ts REPLACE': {
    'retry {functions} (not-needed)': 'newcomers: takes a node that has other functions',
  },
  'findings/newcomer-faults.ts ANYWAY': {
    'retry {force} (anyway)': 'newcomers: if it lacks an ACL user, unless forced',
  },
  'findings/newcomer-faults.ts configuring': {
    configure: 'newcomers: if it requires no password, and fits once it has the one',
  },
  'findings/newcomer-faults.ts givingLogin': {
    configure: 'newcomers: if the founders of a cluster have different passwords',
    command: 'newcomers: if it lacks an ACL user, unless forced',
  },
  'findings/node-findings.ts memoryFindings': {
    configure: 'check: reports zones, memory and policies',
    join: 'check: reports zones, memory and policies',
    execute: 'check: reports zones, memory and policies',
  },
  'findings/node-findings.ts refusedWrites': {
    replicate: 'preflight: refuses keys from or for a master that lacks replicas',
    configure: 'preflight: refuses keys from or for a master that lacks replicas',
  },
  'findings/node-findings.ts strayKeyFindings': {
    'fix (not-moving)': 'fix-uncovered: settles stray keys with the owner',
  },
  'findings/out-of-sync.ts muteAdvice': {
    'del-node':
      'failover-in-vain: is not asked for of a replica that was copied by SYNC, and what is advised leads to it',
    'replicate (after-that)':
      'failover-in-vain: is not asked for of a replica that was copied by SYNC, and what is advised leads to it',
  },
  'findings/stopped-replicas.ts refused': {
    replicate: 'ok-to-stop: until it has another or needs none',
    configure: 'ok-to-stop: until it has another or needs none',
  },
  'findings/replica-findings.ts mastersAlone': {
    replicate: 'advice-roles: without a replica: a node becomes one',
  },
  'findings/replica-findings.ts replicationFindings': {
    replicate: 'replicate: keeps a replica that leaves another master from being elected',
    'replicate (stays)': 'advice-roles: whose only replica has no link',
  },
  'findings/replica-findings.ts replicaMarkFindings': {
    'fix (not-moving)': 'fix-hung-replica: close what the replica alone has open',
    'start-node': 'fix-hung-replica: close what the replica alone has open',
  },
  'findings/replica-findings.ts placed': {
    spread: 'spread: gives replicas beside their masters to others',
    replicate: 'spread: moves the only replica of a master once there is another',
  },
  'findings/setup-findings.ts cannotFollow': {
    configure: 'check: names nodes that a failover would leave without a master',
  },
  'findings/setup-findings.ts settingFindings': {
    configure: 'check: names nodes that are set up otherwise',
    'execute {mastersOnly}': 'check: names nodes that are set up otherwise',
  },
  'findings/setup-findings.ts memoryLimits': { configure: 'check: names nodes that are set up otherwise' },
  'findings/setup-findings.ts libraryFindings': {
    'execute {mastersOnly}': 'check: names nodes that are set up otherwise',
  },
  'findings/spread-findings.ts spreading': { spread: 'check: names a host with most of the masters' },
  'findings/spread-findings.ts replicasUneven': {
    spread: 'spread: lets replicas take over again that were moved, also by a run that was killed',
  },
  'findings/spread-findings.ts replicasTogether': {
    replicate: 'check: names a host with most of the masters',
    'del-node (after-that)': 'check: names a host with most of the masters',
  },
  'findings/spread-findings.ts mastersWithoutSlots': {
    'rebalance {useEmptyMasters}': 'check: names a master without slots, until it is given some',
    'del-node (not-needed)': 'advice: brings back a master without slots that was made a replica',
  },
  'measure/hotkeys.ts HotkeysCount': {
    'command (not-needed)': 'hot: leaves the HOTKEYS session of someone else alone',
  },
  'measure/measure-node.ts Measurement': {
    'retry {enableStats}': 'hot: says what would show more, and that does',
    'retry {monitor}': 'hot: says what would show more, and that does',
  },
  'model/cluster-error.ts ClusterError': { retry: 'interruptions: after SIGKILL, with all keys' },
  'move/by-migrate/migrate-errors.ts endReplaced': {
    'start-node': 'target-proof: continues once the target is back',
    'retry (after-that)': 'target-proof: continues once the target is back',
  },
  'move/by-migrate/migrate-errors.ts keyConflict': {
    fix: 'migrate: overwrites no value that is on both ends of a slot found open',
    'retry (after-that)': 'migrate: overwrites no value that is on both ends of a slot found open',
  },
  'move/by-migrate/migrate-errors.ts strayKeysLeft': {
    fix: 'fix-uncovered: settles stray keys with the owner',
  },
  'move/by-migrate/migrate-errors.ts cannotMigrate': {
    'retry (healthy)': 'mover: names the keys of every batch in flight when the move is given up',
    'retry (repaired)': 'target-proof: as it is out of memory',
  },
  'move/by-migrate/migrate-errors.ts targetNotProven': {
    configure: 'target-proof: copies one key if only the source is led astray',
    'retry (after-that)': 'target-proof: copies one key if only the source is led astray',
  },
  'move/by-migrate/migrate-errors.ts keysAstray': {
    configure: 'target-proof: stops, and says how many keys did not arrive',
    'retry (after-that)': 'target-proof: stops, and says how many keys did not arrive',
  },
  'move/by-migrate/migrate-errors.ts cannotFence': {
    'retry (repaired)': 'unit/advice-scripted: when connections of an earlier MIGRATE may be ended',
  },
  'move/by-migrate/move-by-migrate.ts RUN_AGAIN': {
    'retry (healthy)': 'fault-nodes: ends the move with an error, and the same call finishes it',
  },
  'move/by-servers/call-off.ts mayGoOn': {
    command: 'atomic: ends with an error in bounded time if the target hangs',
  },
  'move/by-servers/find-task.ts cannotBegin': {
    'wait (moves-done)': 'atomic: waits for another migration of the same slots',
    'retry (after-that)': 'atomic: waits for another migration of the same slots',
  },
  'move/by-servers/move-by-servers.ts atomicFailed': {
    'retry (repaired)': 'atomic: falls back to MIGRATE if the server refuses it',
    'retry {method}': 'atomic: falls back to MIGRATE if the server refuses it',
  },
  'move/by-servers/ownership.ts askOwners': {
    'retry (after-that)': 'atomic: loses no key if a replica takes over',
  },
  'move/by-servers/ownership.ts waitUntilOwned': {
    'retry (healthy)': 'unit/advice-scripted: when both ends list who owns the slots',
  },
  'move/by-servers/watch.ts whenAnswers': { 'retry (answers)': 'atomic: and the same call continues' },
  'move/choose-method.ts fixFirst': {
    'retry (after-that)': 'atomic: is refused while the target holds keys',
    fix: 'atomic: gives way to MIGRATE if a slot was opened',
  },
  'move/choose-method.ts methodByOptions': {
    'retry {method}': 'atomic: is not used with method "migrate" or with limits',
  },
  'move/choose-method.ts commonDialect': {
    'retry {method}': 'atomic: falls back to MIGRATE with method "auto"',
  },
  'move/ends.ts requireIdentity': {
    retry: 'unit/advice-scripted: when the target is again the node that it was',
  },
  'move/epochs.ts CUT_OFF': {
    'retry (repaired)': 'unit/advice-scripted: when packets get from one node to another',
  },
  'move/open-slots.ts onlyAtTargetError': {
    'retry (after-that)': 'migrate: names keys that the target alone has of a closed slot',
  },
  'move/open-slots.ts hasStrangeKeys': {
    'migrate-slots {resume} (earlier-move)': 'migrate: continues an interrupted run, with `resume`',
    'fix (otherwise)': 'advice: strange keys on the target',
    'retry (after-that)': 'advice: strange keys on the target',
  },
  'move/redirect-imports.ts tell': {
    'retry (repaired)': 'unit/advice-scripted: when the replica of a node that imports slots answers',
  },
  'move/target-watch.ts TargetWatch': {
    'retry (repaired)': 'target-proof: by a restart without them',
    configure: 'target-proof: by eviction: the move stops',
    'retry (after-that)': 'target-proof: by eviction: the move stops',
    'retry {force} (anyway)': 'target-proof: by eviction: the move stops',
  },
  'move/unknown-node.ts unknownNode': {
    command: 'target-proof: is done when the two are introduced again',
    'retry (after-that)': 'target-proof: is done when the two are introduced again',
  },
  'nodes/memory-room.ts noRoomFor': {
    configure: 'preflight: refuses to move more than fits',
    'retry {force} (anyway)': 'preflight: refuses to move more than fits',
  },
  'nodes/agreement.ts doNotAgree': {
    'retry (healthy)': 'fault-nodes: ends the move with an error, and the same call finishes it',
  },
  'nodes/followers.ts hindranceOf': { configure: 'roles: stay if nobody could follow the new master' },
  'nodes/followers.ts missingRights': { command: 'roles: stay if the new master would not let its user' },
  'nodes/functions.ts REPLACE': {
    'retry {functions} (not-needed)': 'newcomers: takes a node that has other functions',
  },
  'nodes/functions.ts otherLibrary': {
    'command (not-needed)': 'join: gives a new master the functions of the others',
  },
  'nodes/look-for-rejoin.ts requireFound': {
    'rejoin (moved)': 'rejoin: brings a cluster together whose addresses are all new',
    'retry {force} (gone-for-good)': 'rejoin: leaves out a member that is gone for good',
  },
  'nodes/look-for-rejoin.ts requireAnnounced': {
    configure: 'rejoin: names the setting that makes a node announce a wrong address',
    'retry (repaired)': 'rejoin: names the setting that makes a node announce a wrong address',
  },
  'nodes/await-serving.ts awaitServing': {
    'retry (repaired)': 'unit/advice-scripted: when a node that was given slots serves',
  },
  'operations/rejoin-cluster.ts requireNoLoss': {
    'retry {force} (anyway)': 'rejoin: and one that would lose keys',
  },
  'nodes/must-do.ts commandRefused': {
    'retry (repaired)': 'stopped: is COMMAND_REFUSED, and what is advised and the same call finish it',
  },
  'nodes/must-do.ts adviceOn': {
    command: 'stopped: is COMMAND_REFUSED, and what is advised and the same call finish it',
  },
  'nodes/newcomer.ts alreadyInCluster': {
    'shutdown (not-needed)': 'advice: empties it, resets it or ends its cluster',
  },
  'nodes/newcomer.ts holdOwnSlots': {
    command: 'create: keeps the keys of nodes that were started with dumps alone',
    'fix (after-that)': 'create: keeps the keys of nodes that were started with dumps alone',
  },
  'nodes/newcomer.ts requireNoMarks': {
    command: 'advice: empties it, resets it or ends its cluster',
    'retry (after-that)': 'advice: empties it, resets it or ends its cluster',
  },
  'nodes/newcomer.ts emptying': { command: 'advice: empties it, resets it or ends its cluster' },
  'nodes/newcomer.ts requireNoKeys': { fix: 'advice-slots: if a master without slots holds keys of them' },
  'nodes/once-loaded.ts onceLoaded': {
    'retry (answers)': 'unit/advice-scripted: when a node that leaves has loaded its data',
  },
  'nodes/require-promotable.ts requireTakeable': {
    replicate: 'roles: stay in a shard without slots, in every mode',
  },
  'nodes/require-promotable.ts requireFollowers': {
    'retry (repaired)': 'roles: stay if nobody could follow the new master',
    'retry {force} (anyway)': 'advice-dead: is done though the former master cannot follow',
  },
  'nodes/require-promotable.ts requireOwnSlots': {
    'retry {force} (anyway)': 'chains: does not take slots that another serves by now, unless forced',
  },
  'nodes/require-promotable.ts requireForemost': {
    'failover {mode}': 'roles: go to the replica that has the keys when a master is dead',
    'start-node': 'advice-dead: whose replica is empty',
    'retry {force} (anyway or gone-with-its-keys)': 'advice-dead: whose replica is empty',
  },
  'nodes/requirements.ts requireMember': {
    start: 'advice-slots: of a node that is in no cluster: to start one',
  },
  'nodes/requirements.ts requireClosed': { fix: 'stopped: a slot that others have open is named' },
  'nodes/requirements.ts unreachableByOthers': {
    'retry (repaired)': 'newcomers: if it announces an IP address that is none',
  },
  'nodes/silent-master.ts stillAlive': {
    'failover {mode}': 'conditions: is refused while the master answers, with the keys of both',
    'retry {force} (anyway)': 'conditions: is refused while the master answers, with the keys of both',
  },
  'nodes/stopping.ts wayOn': {
    resume: 'stopped: the same call with resume',
    'retry-rest': 'stopped: a call for the rest, which moves as many',
    fix: 'stopped: a repair, which finishes the move',
    retry: 'stopped: the same call, and a slot that others have open',
  },
  'operations/apply-plan.ts requireSame': { plan: 'advice-slots: in a plan that no longer fits' },
  'operations/apply-plan.ts requireLost': { plan: 'advice-dead: without a replica: start it' },
  'operations/backup-cluster.ts failed': {
    'retry (repaired)': 'backup: gives up a master that sends nothing',
  },
  'operations/backup-cluster.ts findMoved': {
    'retry (moves-done)': 'backup: is refused if slots moved in the meantime',
  },
  'operations/drain.ts successorOf': { 'retry (settled)': 'roles: wait for the first copy of a replica' },
  'operations/drain.ts requireTakers': {
    replicate: 'advice-roles: without a replica: a node becomes one',
    'retry {moveSlots}': 'drain: or moves its slots on request',
  },
  'operations/failover.ts requireAnswering': {
    'failover {mode}': 'del-node: refuses if the master does not answer, unless forced',
  },
  'operations/failover.ts requireLink': { replicate: 'advice-roles: whose only replica has no link' },
  'operations/fix-migrating.ts offerDrop': {
    'fix {strayKeys} (keys-unwanted)': 'fix: keeps the value of the owner, names the key',
  },
  'operations/fix-migrating.ts requireMended': {
    'retry (moves-done)': 'advice-slots: that another tool opens while others are repaired',
  },
  'operations/follow-keys.ts CONTINUE': {
    'retry {replace}': 'follow: continues a copy that was stopped',
  },
  'operations/follow-keys.ts requireEmpty': {
    'retry {replace}': 'follow: continues a copy that was stopped',
  },
  'operations/hand-over.ts handOver': { replicate: 'advice-roles: without a replica: a node becomes one' },
  'operations/joining.ts lookForJoin': {
    'retry (after-that)': 'join: refuses a cluster that leaves slots uncovered',
  },
  'operations/joining.ts requireNotForgotten': {
    rejoin: 'join: refuses a member with slots that others have forgotten, and a rejoin brings it back',
  },
  'operations/migrate-slots.ts requireHeld': {
    'resume (earlier-move)': 'stopped: the same call with resume',
  },
  'operations/migrate-slots.ts requireTarget': {
    'join-no-load': 'advice-slots: for a node that is in no cluster',
  },
  'operations/move-planned.ts movePlanned': { retry: 'advice-slots: that moved after they were chosen' },
  'operations/parse-plan.ts invalid': { plan: 'advice-slots: in a plan that no longer fits' },
  'operations/quit-cluster.ts UNTIL_FAILED': {
    'wait (declared-failed)': 'leave: goes once a replica that does not answer has failed',
    'retry (after-that)': 'leave: goes once a replica that does not answer has failed',
  },
  'operations/quit-cluster.ts keeping': {
    'del-node': 'advice: gives the replicas of a leaver to another master',
  },
  'operations/quit-cluster.ts requireSafeToQuit': {
    'quit (not-needed)': 'advice: takes the replicas of a leaver out first',
  },
  'operations/removable.ts requireGone': {
    'wait (declared-failed)': 'del-node: removes a replica, and a dead one',
    'retry {force} (gone-for-good)': 'advice: takes it out by force if it is gone for good',
  },
  'operations/removable.ts requireSettled': {
    fix: 'advice-dead: beside a slot that is imported from it',
    'retry (after-that)': 'advice-dead: beside a slot that is imported from it',
  },
  'operations/removable.ts notEmptied': {
    'retry {drain}': 'del-node: refuses a master with slots, moves them away on request',
    rescue: 'advice-dead: without a replica: start it',
  },
  'operations/removable.ts warnOfUntold': {
    'replicate (answers)': 'replace: says what to do about a replica that hangs',
  },
  'operations/replace-failed.ts waysOn': {
    'retry (repaired)': 'replace: names both nodes if the new one dies, and what to do then',
    'start-node': 'replace: names both nodes if the new one dies, and what to do then',
    'retry (answers)': 'replace: names both nodes if the new one dies, and what to do then',
    'del-node (gone-for-good)': 'replace: names both nodes if the new one dies, and what to do then',
  },
  'operations/replacing.ts isElsewhere': {
    'replicate (earlier-move)': 'replace: takes a server that was moved to another master between two runs',
    'retry (after-that)': 'replace: takes a server that was moved to another master between two runs',
  },
  'operations/replacing.ts requireRoom': {
    configure: 'replace: refuses before anything is changed',
    'retry {force} (anyway)': 'replace: refuses before anything is changed',
  },
  'operations/replicate.ts isItsMaster': { failover: 'roles: are given back when a replica' },
  'operations/replicate.ts hasFollowers': {
    replicate: 'replicate: how a master without slots that has replicas',
    'retry (after-that)': 'replicate: how a master without slots that has replicas',
  },
  'operations/rescue-cluster.ts notGone': {
    'wait (declared-failed)': 'fault-rescue: gives the slots of a failed master to a new one',
    'retry {force} (never-declared-failed)': 'fault-rescue: refuses while a master is only silent',
  },
  'operations/rescue-cluster.ts requireNobodys': {
    fix: 'fault-rescue: refuses to give away an unowned slot',
  },
  'operations/rescue-cluster.ts requireNoKeeper': {
    'wait (elected)': 'fault-rescue: refuses while a live replica holds the keys',
  },
  'operations/rescue-cluster.ts requireNoKeysLeft': {
    fix: 'fault-rescue: refuses while a live master holds keys of the slots',
    'retry (settled)': 'unit/advice-scripted: A rescue goes on once a node has deleted keys',
  },
  'operations/restart.ts requireReplicasLeft': {
    'retry (after-that)': 'restart: refuses before a stop that would keep a master from taking writes',
    'retry {force} (anyway)': 'restart: refuses before a stop that would keep a master from taking writes',
  },
  'operations/restart.ts withSuccessors': {
    replicate: 'advice-roles: without a replica: a node becomes one',
    'retry (settled)': 'advice-roles: whose only replica is copying',
  },
  'operations/restore-cluster.ts requireNoStrays': {
    retry: 'restore: takes the owner for right about keys that another master has',
  },
  'operations/rollback-plan.ts requireMasters': {
    'del-node': 'advice: brings back a master that became a replica with its last slot',
    'join-no-load (after-that)': 'advice: brings back a master that became a replica with its last slot',
    'reshard (after-that)': 'advice: brings back a master that became a replica with its last slot',
  },
  'operations/set-node-timeout.ts refuse': {
    'retry (repaired)': 'set-timeout: changes nothing if a node does not answer',
    'retry {force} (anyway)': 'set-timeout: changes nothing if a node does not answer, unless forced',
  },
  'operations/shutdown-cluster.ts shutdownCluster': {
    'retry {ignoreFailed} (gone-for-good)': 'leave: ignores failed nodes on request',
  },
  'operations/spread.ts requireFit': {
    'retry (repaired)': 'spread: gives no replica a master that it could not copy',
  },
  'plan/dissolving.ts dissolving': {
    'retry (after-that)': 'advice: ends one of five nodes',
    'shutdown (after-that)': 'advice: ends that of a master and a replica',
    quit: 'advice: ends that of a master and a replica',
  },
  'plan/fix.ts heldUp': { 'retry (repaired)': 'fix-uncovered: and the same call continues' },
  'plan/fix.ts planStrays': {
    'retry (repaired)': 'unit/advice-scripted: A slot is repaired once a key is on one of two nodes only',
  },
  'plan/inverse.ts undo': { join: 'advice: brings back a master without slots that was made a replica' },
  'plan/inverse.ts undoReplicate': {
    'del-node': 'advice: brings back a master without slots that was made a replica',
    'join-no-load (after-that)': 'advice: brings back a master without slots that was made a replica',
  },
  'plan/open-slots.ts ONCE_DONE': { 'retry (repaired)': 'advice-slots: to start it, or to take it out' },
  'plan/open-slots.ts notAMove': { fix: 'fix-uncovered: lets no node take slots that it imports' },
  'plan/open-slots.ts ownedByNobody': { fix: 'advice-slots: that nobody owns and one imports' },
  'plan/reshard.ts whoHas': { 'retry {from}': 'advice-slots: that no source has' },
  'plan/spread.ts zoneRefusal': {
    replicate: 'spread: brings all masters to a zone, or none',
    'retry (after-that or settled)': 'spread: brings all masters to a zone, or none',
  },
  'plan/uncovered.ts heldByReplica': {
    'retry (after-that)': 'fix-uncovered: and the advice brings them back',
  },
  'plan/uncovered.ts mayBeHeld': {
    'retry (repaired)': 'fix-uncovered: is silent, and to that one later',
  },
  'plan/uncovered.ts chooseByKeys': {
    'retry (repaired)': 'fix-uncovered: leaves it if two masters hold one key',
  },
};
