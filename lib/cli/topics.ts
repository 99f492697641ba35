import { UsageError } from './io.ts';
import { readTopic } from './read-topic.ts';

/** Documents that ship with the package, by the word that `redis-trib help` takes. */
export const topics: Readonly<Record<string, string>> = {
  acl: 'ACL rules that each command needs',
  engines: 'What import and restore carry between Redis and Valkey, old and new',
  errors: 'Error codes: when each happens, what it leaves behind, what to do',
  events: 'Events of --json-stream and onEvent',
  findings: 'What check finds: cause, risk, cure, and how to practise it',
  fix: 'How fix decides',
  json: 'What --json and --json-stream print',
  'moving-slots': 'How slots move, and why no key is lost',
  plan: 'Saved plans: apply, verify, rollback, and their file',
  'redis-cli': 'redis-trib --cluster, and how it differs from redis-cli',
};

/** Pages of options that many commands share, by the word that `redis-trib help` takes. */
export const pages: Readonly<Record<'connection' | 'moving', string>> = {
  connection: 'Options of every command: how nodes are reached',
  moving: 'Options of every command that moves slots',
};

/** Words that `redis-trib help` takes beside the names of commands. */
export const helpWords: readonly string[] = [...Object.keys(pages), ...Object.keys(topics)].sort();

/** What the sections of a topic are about, if all are about one kind of thing. */
const SECTIONS: Readonly<Record<string, string>> = {
  ...{ errors: 'error code', events: 'event', findings: 'finding' },
};

/** The topic of this name. */
export function findTopic(word: string): string | undefined {
  const wanted = word.toLowerCase();
  return Object.hasOwn(topics, wanted) ? wanted : undefined;
}

/**
 * A section of a document: the one whose heading names this word or, failing that, the row of a table that begins with it, under its
 * heading. Throws a UsageError if there is neither.
 */
export function sectionOf(document: string, topic: string, word: string): string {
  const lines = document.split('\n');
  const isMeant = (name: string): boolean => name.toLowerCase() === word.toLowerCase();
  const start = lines.findIndex((line) => namesIn(headingText(line)).some(isMeant));
  if (start >= 0) {
    const level = levelOf(lines[start]);
    const length = lines.slice(start + 1).findIndex((line) => levelOf(line) > 0 && levelOf(line) <= level);
    return lines
      .slice(start, length < 0 ? undefined : start + 1 + length)
      .join('\n')
      .trimEnd();
  }
  const row = lines.findIndex((line) => namesIn(firstCell(line)).some(isMeant));
  if (row < 0) {
    const what = SECTIONS[topic];
    const message = what
      ? `There is no ${what} "${word}"`
      : `redis-trib help ${topic} has no section about "${word}"`;
    throw new UsageError(message, undefined, { word, names: sectionWords(document), page: topic });
  }
  const above = lines.slice(0, row);
  const heading = above.findLast((line) => levelOf(line) > 0) ?? '';
  const table = above.findLastIndex((line) => !line.startsWith('|')) + 1;
  return [heading, '', ...lines.slice(table, Math.min(table + 2, row)), lines[row]].join('\n');
}

/** What `redis-trib help TOPIC` takes besides, by topic. */
export function sectionsOfTopics(): Record<string, string[]> {
  return Object.fromEntries(Object.keys(topics).map((topic) => [topic, sectionWords(readTopic(topic))]));
}

// The words by which `sectionOf` finds a section, but for the title of the document.
function sectionWords(document: string): string[] {
  const headings = document.split('\n').filter((line) => levelOf(line) > 1);
  return headings.flatMap((line) => namesIn(headingText(line))).filter((name) => /^[\w-]+$/.test(name));
}

function levelOf(line = ''): number {
  return /^#+(?= )/.exec(line)?.[0].length ?? 0;
}

function headingText(line: string): string {
  return levelOf(line) > 0 ? line.slice(levelOf(line) + 1) : '';
}

function firstCell(line: string): string {
  return /^\| (.*?) \|/.exec(line)?.[1] ?? '';
}

function namesIn(text: string): string[] {
  return text.replaceAll('`', '').split(/[,;] /).filter(Boolean);
}
