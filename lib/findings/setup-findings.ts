import { formatAddress } from '../model/address.ts';
import type { NodeDetails } from '../model/details.ts';
import {
  type AclUser,
  type LoginObstacle,
  loginObstacle,
  OBSTACLE_WORDS,
  settingsAgainst,
} from '../model/login.ts';
import type { Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { type NodeSetup, SHORT_NODE_TIMEOUT_MS } from '../model/setup.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import { ifUnsettled } from './condition-words.ts';
import { type Finding, listNames, namesOf } from './finding.ts';
import { differenceOf, oddNodes } from './odd-nodes.ts';

type Setups = ReadonlyMap<string, NodeSetup>;

/** By id of a member: the ids of the nodes in each shard, as it lists them. */
export type ShardLists = ReadonlyMap<string, readonly (readonly string[])[]>;

/** Settings by which nodes judge, serve and take over: a cluster behaves as the node does that comes to decide. */
const SAME_EVERYWHERE: readonly string[] = [
  'cluster-node-timeout',
  'cluster-require-full-coverage',
  'cluster-allow-reads-when-down',
  'cluster-allow-pubsubshard-when-down',
  'cluster-allow-replica-migration',
  'cluster-migration-barrier',
  'cluster-replica-validity-factor',
  'cluster-preferred-endpoint-type',
];
/** How data is saved. That replicas save and masters do not is common, so each role is compared on its own. */
const SAME_IN_ROLE: readonly string[] = ['appendonly', 'save'];

/** Nodes that are not set up as the others are. Names what differs, never how: settings and rules may be secret. */
export function setupFindings(
  view: ClusterView,
  setups: Setups,
  details: ReadonlyMap<string, NodeDetails | Error>,
  lists: ShardLists,
): Finding[] {
  if (setups.size === 0) return [];
  return [
    ...cannotFollow(view, setups),
    ...settingFindings(view, setups),
    ...userFindings(view, setups, details),
    ...libraryFindings(view, setups),
    ...shardFindings(view, setups, lists),
  ];
}

/**
 * Nodes that could not log in to others if these were their masters. In a cluster without replicas, none has to: such a cluster is
 * deliberate.
 */
function cannotFollow(view: ClusterView, setups: Setups): Finding[] {
  const nameOf = namesOf(view);
  if (!view.nodes.some(({ id, role }) => role === 'replica' && view.reports.has(id))) return [];
  const members = view.nodes.filter(({ id }) => setups.has(id));
  // Most clusters have one masterauth: what it opens is looked up once.
  const opens = new Map<string, Map<LoginObstacle, string[]>>();
  return members.flatMap((node): Finding[] => {
    const own = setups.get(node.id) ?? {};
    const key = JSON.stringify([own.login?.user, own.login?.secret]);
    const known = opens.get(key) ?? obstaclesTo(own, setups, members);
    opens.set(key, known);
    const byObstacle = [...known]
      .map(([obstacle, ids]) => [obstacle, ids.filter((id) => id !== node.id).map(nameOf)] as const)
      .filter(([, names]) => names.length > 0);
    return byObstacle.map(([obstacle, names]): Finding => {
      const name = nameOf(node.id);
      return {
        severity: 'warning',
        kind: 'cannot-follow',
        message: `${name} could not replicate ${listNames(names)}, as after a failover: ${OBSTACLE_WORDS[obstacle]}`,
        nodes: [name, ...names],
        ...(obstacle === 'no-password-there'
          ? { hint: 'Set the same password on every node, and the same masterauth' }
          : {
              hint: 'Set it in its configuration file, too',
              next: inTurn(settingsAgainst(obstacle), (setting) => ({
                do: 'configure',
                node: name,
                settings: [setting],
              })),
            }),
      };
    });
  });
}

function obstaclesTo(
  own: NodeSetup,
  setups: Setups,
  members: readonly NodeRecord[],
): Map<LoginObstacle, string[]> {
  const byObstacle = new Map<LoginObstacle, string[]>();
  for (const { id } of members) {
    const obstacle = loginObstacle(own, setups.get(id) ?? {});
    if (obstacle === undefined) continue;
    const ids = byObstacle.get(obstacle);
    if (ids) ids.push(id);
    else byObstacle.set(obstacle, [id]);
  }
  return byObstacle;
}

function settingFindings(view: ClusterView, setups: Setups): Finding[] {
  const roles = new Map(view.nodes.map(({ id, role }) => [id, role]));
  const inRole = (role: NodeRecord['role']): ReadonlyMap<string, ReadonlyMap<string, string>> =>
    settingsOf(setups, SAME_IN_ROLE, (id) => roles.get(id) === role);
  const differing = (
    severity: Finding['severity'],
    values: ReadonlyMap<string, ReadonlyMap<string, string>>,
    among: 'nodes' | 'masters' | 'replicas',
  ): Finding[] =>
    oddNodes(view, values).map(({ id, lacks, more, other }): Finding => {
      const name = nodeName(view, id);
      const names = [...lacks, ...more, ...other].sort();
      return {
        severity,
        kind: 'settings-differ',
        message: `${name} has another ${listNames(names)} than most ${among}`,
        nodes: [name],
        next: inTurn(names, (setting) =>
          among === 'replicas'
            ? { do: 'configure', node: name, settings: [setting] }
            : {
                do: 'execute',
                cluster: formatAddress(view.seed),
                ...(among === 'masters' ? { options: { mastersOnly: true } } : {}),
                command: ['CONFIG', 'SET', setting, 'VALUE'],
              },
        ),
      };
    });
  return [
    ...shortTimeouts(view, setups),
    ...differing('warning', settingsOf(setups, SAME_EVERYWHERE), 'nodes'),
    ...memoryLimits(view, setups),
    ...databaseCounts(view, setups),
    ...differing('info', inRole('master'), 'masters'),
    ...differing('info', inRole('replica'), 'replicas'),
  ];
}

// If only some have it, they have another one than the others.
function shortTimeouts(view: ClusterView, setups: Setups): Finding[] {
  const name = 'cluster-node-timeout';
  const left = [...setups].filter(([, { settings }]) => settings?.get(name) === `${SHORT_NODE_TIMEOUT_MS}`);
  if (left.length === 0 || left.length < setups.size) return [];
  return [
    {
      severity: 'warning',
      kind: 'settings-differ',
      message: `${name} is still ${SHORT_NODE_TIMEOUT_MS} on all nodes: a run that was killed set it`,
      nodes: left.map(([id]) => nodeName(view, id)),
      hint: 'Set it to what it was, 15000 by default',
    },
  ];
}

/** An act for each setting: all of them are needed. */
function inTurn(settings: readonly string[], act: (setting: string) => Next): Next[] {
  return settings.map((setting, index) => ({
    ...act(setting),
    ...(index > 0 ? { when: 'after-that' as const } : {}),
  }));
}

// A node that does not know a setting is of another version.
function settingsOf(
  setups: Setups,
  names: readonly string[],
  isMeant: (id: string) => boolean = () => true,
): Map<string, Map<string, string>> {
  const all = [...setups].filter(([id, { settings }]) => settings !== undefined && isMeant(id));
  const known = names.filter((name) => all.every(([, { settings }]) => settings?.has(name)));
  return new Map(
    all.map(([id, { settings }]) => [id, new Map(known.map((name) => [name, settings?.get(name) ?? '']))]),
  );
}

/** Replicas that could hold less than their master, or more. Masters may differ, as their machines do. */
function memoryLimits(view: ClusterView, setups: Setups): Finding[] {
  const limitOf = (id: string | null): string | undefined => setups.get(id ?? '')?.settings?.get('maxmemory');
  return view.nodes.flatMap(({ id, role, masterId }): Finding[] => {
    const [own, master] = [limitOf(id), limitOf(masterId)];
    if (role !== 'replica' || own === undefined || master === undefined || own === master) return [];
    const [name, masterName] = [nodeName(view, id), nodeName(view, masterId ?? '')];
    return [
      {
        severity: 'warning',
        kind: 'settings-differ',
        message: `${name} has another maxmemory than its master ${masterName}: it would evict keys or refuse writes at another size`,
        nodes: [name, masterName],
        next: [{ do: 'configure', node: name, settings: ['maxmemory'] }],
      },
    ];
  });
}

/** Nodes with fewer databases than another (Valkey 9). Keys in the others cannot move there, and a replica that is sent one exits. */
function databaseCounts(view: ClusterView, setups: Setups): Finding[] {
  const counts = [...setups].flatMap(([id, { settings }]): [string, number][] =>
    settings ? [[id, Number(settings.get('cluster-databases') ?? 1)]] : [],
  );
  const most = Math.max(...counts.map(([, count]) => count));
  return counts
    .filter(([, count]) => count < most)
    .map(([id]): Finding => {
      const name = nodeName(view, id);
      return {
        severity: 'warning',
        kind: 'settings-differ',
        message: `${name} has fewer databases than other nodes (cluster-databases): it cannot hold keys of the others`,
        nodes: [name],
        hint: 'Set it in its configuration file and start it again',
      };
    });
}

function userFindings(
  view: ClusterView,
  setups: Setups,
  details: ReadonlyMap<string, NodeDetails | Error>,
): Finding[] {
  const versions = new Set([...details.values()].map((one) => (one instanceof Error ? '' : one.version)));
  const textOf = ({ isOn, needsNoPassword, secrets, rules }: AclUser): string =>
    `${isOn} ${needsNoPassword} ${secrets.join()}${versions.size > 1 ? '' : ` ${rules}`}`;
  const values = new Map(
    [...setups].flatMap(([id, { users }]): [string, Map<string, string>][] =>
      users ? [[id, new Map([...users].map(([name, user]) => [name, textOf(user)]))]] : [],
    ),
  );
  return oddNodes(view, values).map((odd): Finding => {
    const name = nodeName(view, odd.id);
    return {
      severity: 'warning',
      kind: 'users-differ',
      message: `${name} has other ACL users than most nodes: ${differenceOf(odd, 'has other passwords or rules for')}`,
      nodes: [name],
      hint: 'Clients and replicas that log in there may be refused. Give every node the same users: with ACL SETUSER, or one aclfile and ACL LOAD',
    };
  });
}

/** Functions of masters with slots: replicas get them from their master. */
function libraryFindings(view: ClusterView, setups: Setups): Finding[] {
  const values = new Map(
    view.nodes.flatMap(({ id, role, slots }): [string, ReadonlyMap<string, string>][] => {
      const libraries = setups.get(id)?.libraries;
      return libraries && role === 'master' && slots.length > 0 ? [[id, libraries]] : [];
    }),
  );
  return oddNodes(view, values).map((odd): Finding => {
    const name = nodeName(view, odd.id);
    return {
      severity: 'warning',
      kind: 'functions-differ',
      message: `${name} has other functions than most masters: ${differenceOf(odd, 'has other code for')}`,
      nodes: [name],
      hint: 'Clients find other functions, or none, for its slots',
      next: [
        {
          do: 'execute',
          cluster: formatAddress(view.seed),
          options: { mastersOnly: true },
          command: ['FUNCTION', 'LOAD', 'REPLACE', 'CODE'],
        },
      ],
    };
  });
}

/** Replicas in another shard than their master: as they say themselves, or as members list them. */
function shardFindings(view: ClusterView, setups: Setups, lists: ShardLists): Finding[] {
  const observers = observersOf(view, lists);
  return view.nodes.flatMap(({ id, role, masterId }): Finding[] => {
    const [own, master] = [setups.get(id)?.shardId, setups.get(masterId ?? '')?.shardId];
    const isOther = own !== undefined && master !== undefined && own !== master;
    const by = observers.get(id) ?? [];
    if (role !== 'replica' || (!isOther && by.length === 0)) return [];
    const [name, masterName] = [nodeName(view, id), nodeName(view, masterId ?? '')];
    return [
      {
        severity: 'warning',
        kind: 'shards-differ',
        message: `${name} is in another shard than its master ${masterName}, ${isOther ? 'by the shard ids that they report' : `as ${listNames(by)} ${by.length === 1 ? 'lists' : 'list'} them`}`,
        nodes: [name, masterName, ...by.filter((one) => one !== name && one !== masterName)],
        hint: 'Clients that ask for the shards see it in another one. A server may refuse to start with such a nodes.conf. Packets on the cluster bus resolve it within seconds',
        next: ifUnsettled(view, [name, masterName, ...by]),
      },
    ];
  });
}

/** By id of a replica: the members that list it apart from the node that they call its master. */
function observersOf(view: ClusterView, lists: ShardLists): Map<string, string[]> {
  const observers = new Map<string, string[]>();
  for (const [observer, shards] of lists) {
    const shardOf = new Map(shards.flatMap((ids, shard) => ids.map((id): [string, number] => [id, shard])));
    for (const { id, masterId } of view.reports.get(observer)?.records ?? []) {
      const [own, master] = [shardOf.get(id), shardOf.get(masterId ?? '')];
      if (own === undefined || master === undefined || own === master) continue;
      const names = observers.get(id);
      if (names) names.push(nodeName(view, observer));
      else observers.set(id, [nodeName(view, observer)]);
    }
  }
  return observers;
}
