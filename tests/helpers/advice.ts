/** What a command's JSON says of its failure. */
interface Failure {
  readonly hint?: string | undefined;
}

/** The words of `redis-trib fix`, if an error says to run that first. */
export function fixAdvised(error: Failure | undefined): string[] | undefined {
  const [, node, answer] = /redis-trib fix (\S+)(?: --stray-keys (\w+))?/.exec(error?.hint ?? '') ?? [];
  if (node === undefined) return undefined;
  return ['fix', node, ...(answer === undefined ? [] : ['--stray-keys', answer])];
}

/** The node that has the value clients see, if an error says to delete the key elsewhere. */
export function nodeToKeep(error: Failure | undefined): string | undefined {
  return /see the value on (\S+?)\. /.exec(error?.hint ?? '')?.[1];
}

/** True if an error says to introduce the nodes to each other again. */
export function saysMeet(error: Failure | undefined): boolean {
  return /CLUSTER MEET|redis-trib rejoin/.test(error?.hint ?? '');
}
