import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { after, test } from 'node:test';

/** Texts in one file, each under a title: a change of a message shows in the diff of that file, and nowhere else. */
export interface Snapshots {
  /** Registers a test that the text is the one kept under this title. */
  check(title: string, render: () => string | Promise<string>): void;
}

const START = '== ';

/**
 * Opens a file of snapshots, given by its place below `tests/`. With REDIS_TRIB_UPDATE_SNAPSHOTS=1 the texts are written to it
 * instead of compared.
 */
export function openSnapshots(place: string): Snapshots {
  const file = new URL(`../${place}`, import.meta.url);
  const isUpdate = process.env.REDIS_TRIB_UPDATE_SNAPSHOTS === '1';
  const kept = isUpdate ? new Map<string, string>() : read(readFileSync(file, 'utf8'));
  const found = new Map<string, string>();
  const titles = new Set<string>();
  if (isUpdate)
    after(() => {
      const texts = [...titles].map((title) => `${START}${title}\n${found.get(title) ?? ''}`);
      writeFileSync(file, texts.join('\n'));
    });
  else
    test(`${place} holds no text that nothing renders`, () => {
      assert.deepEqual([...kept.keys()], [...titles]);
    });
  return {
    check(title, render) {
      assert.ok(!titles.has(title), `"${title}" is there twice`);
      titles.add(title);
      test(title, async () => {
        const rendered = await render();
        const text = rendered.endsWith('\n') ? rendered : `${rendered}\n`;
        found.set(title, text);
        if (!isUpdate)
          assert.equal(text, kept.get(title), `with REDIS_TRIB_UPDATE_SNAPSHOTS=1 ${place} is updated`);
      });
    },
  };
}

function read(text: string): Map<string, string> {
  const parts = `\n${text}`.split(`\n${START}`).slice(1);
  return new Map(
    parts.map((part) => {
      const end = part.indexOf('\n');
      return [part.slice(0, end), part.slice(end + 1)];
    }),
  );
}
