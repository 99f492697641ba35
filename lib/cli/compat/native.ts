import { type CompatArguments, textOf } from './arguments.ts';

/** The same command in the native dialect, in words: the name first, options last. Capitals stand for what is not known. */
export function nativeWords(read: CompatArguments): string[] {
  const { command, words, values } = read;
  const [first = 'CLUSTER', second = 'NODE'] = words;
  const cluster = words.length === 2 && /^\d+$/.test(second) ? `${first}:${second}` : first;
  const value = (name: string, as = name): string[] => {
    const text = textOf(read, name);
    return text === undefined ? [] : [`--${as}`, text];
  };
  const isOn = (name: string, as = name): string[] => (values[name] ? [`--${as}`] : []);
  switch (command) {
    case 'add-node':
      return ['add_node', ...words, ...isOn('replica'), ...(values.replica ? value('master-id', 'of') : [])];
    case 'del-node':
      return ['del_node', first, second];
    case 'set-timeout':
      return ['set_timeout', first, second];
    case 'backup':
      return ['backup', first, '--dir', second];
    case 'create':
      return ['create', ...words, ...value('replicas')];
    case 'reshard': {
      const [from = 'all', to = 'NODE', slots = 'N'] = ['from', 'to', 'slots'].map((name) =>
        textOf(read, name),
      );
      return ['reshard', cluster, '--from', from, '--to', to, '--slots', slots, ...value('timeout')];
    }
    case 'rebalance': {
      const weights = [values.weight ?? []].flat().flatMap((pair) => ['--weight', String(pair)]);
      const options = [...weights, ...isOn('use-empty-masters'), ...value('threshold'), ...value('timeout')];
      return ['rebalance', cluster, ...options];
    }
    case 'fix':
      return ['fix', cluster, ...isOn('with-unreachable', 'with-unreachable-masters'), ...value('timeout')];
    case 'import':
      return ['import', cluster, ...value('from'), ...(values.copy ? [] : ['--move']), ...isOn('replace')];
    default:
      return [command, cluster];
  }
}
