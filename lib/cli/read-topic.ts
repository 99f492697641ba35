import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UsageError } from './io.ts';

/**
 * The document of a topic, as Markdown. Throws a UsageError if it is not installed. The build as one file has a module with
 * the texts in place of this one.
 */
export function readTopic(topic: string): string {
  // Sources are in lib/cli, published files in dist or dist/chunks: the package is the first one with our name.
  for (const up of ['..', '../..']) {
    try {
      const root = new URL(`${up}/`, import.meta.url);
      const { name } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
      if (name === 'redis-trib')
        return readFileSync(fileURLToPath(new URL(`docs/${topic}.md`, root)), 'utf8');
    } catch {}
  }
  throw new UsageError(`Cannot find the document "${topic}", which ships with the package`);
}
