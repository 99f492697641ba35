// The HTML report in a real browser: `npm run test:browser`. Uses `chromium-headless-shell`, `chromium` or `google-chrome` on the PATH.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { reportHtml } from '../../lib/cli/report/html.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { findProgram } from '../bed/servers.ts';
import { load } from '../helpers/cli-runs.ts';
import { at, declaredFailed, idOfNode, startPairs } from '../helpers/clusters.ts';
import { HOSTILE, reportWith } from '../helpers/hostile-report.ts';
import { runMain } from '../helpers/made-up-io.ts';

const BROWSERS = ['chromium-headless-shell', 'chromium', 'google-chrome'];
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** A telephone, and a desktop. */
const WIDTHS = [390, 1280];
/** A4 without margins, at 96 dots per inch. */
const PAPER_WIDTH = 794;

const dir = mkdtempSync(join(tmpdir(), 'redis-trib-browser-'));
let browser: Browser;
let bed: Bed;
before(async () => {
  const executablePath = BROWSERS.map(findProgram).find((path) => path !== undefined);
  assert.ok(executablePath, `none of ${BROWSERS.join(', ')} is on the PATH`);
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  bed = await openBed();
});
after(async () => {
  await browser?.close();
  await bed?.close();
  rmSync(dir, { recursive: true });
});

/** What a page has tried that it must not: to load something, to run something, to break its own policy. */
function watched(page: Page, file: string): string[] {
  const tried: string[] = [];
  page.on('request', (request) => {
    if (request.url() !== pathToFileURL(file).href) tried.push(`loads ${request.url()}`);
  });
  page.on('console', (message) => tried.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => tried.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    tried.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return tried;
}

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** Looks at a file on every width, light and dark, and on paper, and calls `look` where it is loaded. */
async function assertReadable(
  file: string,
  look: (page: Page) => Promise<void> = async () => {},
): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await browser.newContext({ colorScheme });
    const page = await context.newPage();
    const tried = watched(page, file);
    await page.goto(pathToFileURL(file).href);
    assert.deepEqual(tried, []);
    await look(page);
    // What follows is ours: the page's policy is there to keep it out.
    await page.addScriptTag({ path: AXE }).then(
      () => assert.fail('a script has run in the page'),
      () => undefined,
    );
    await context.close();
    const open = await browser.newContext({ colorScheme, bypassCSP: true });
    const copy = await open.newPage();
    await copy.goto(pathToFileURL(file).href);
    await copy.addScriptTag({ path: AXE });
    for (const width of WIDTHS) {
      await copy.setViewportSize({ width, height: 800 });
      await assertFits(copy, `${colorScheme}, ${width} wide`);
    }
    await copy.emulateMedia({ media: 'print' });
    await copy.setViewportSize({ width: PAPER_WIDTH, height: 1123 });
    await assertFits(copy, `${colorScheme}, printed`);
    assert.equal(
      await copy.evaluate('getComputedStyle(document.body).backgroundColor'),
      'rgb(255, 255, 255)',
    );
    await open.close();
  }
}

/** Nothing is wider than the page, and everything can be read: contrasts and roles as WCAG 2.1 AA has them. */
async function assertFits(page: Page, where: string): Promise<void> {
  assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, where);
  const found = await page.evaluate<readonly Violation[]>(
    "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }).then(({ violations }) => violations)",
  );
  const named = found.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`,
  );
  assert.deepEqual(named, [], where);
}

async function reported(file: string, ...words: readonly string[]): Promise<void> {
  const { code, stderr } = await runMain(['report', ...words, '--html', file]);
  assert.deepEqual([code, stderr], [0, '']);
}

describe('The report in a browser', () => {
  let nodes: ServerNode[];
  before(async () => {
    nodes = await startPairs(bed);
    await load(nodes, 300);
  });

  it('shows a plan, before and after', async () => {
    const [plan, file] = [join(dir, 'plan.json'), join(dir, 'plan.html')];
    const from = at(nodes, 0).address;
    const slots = ['--from', from, '--to', at(nodes, 1).address, '--slots', '100'];
    const { code, stderr } = await runMain(['reshard', from, ...slots, '--plan', plan, '--dry-run']);
    assert.deepEqual([code, stderr], [0, '']);
    await reported(file, plan);
    await assertReadable(file, async (page) => {
      assert.equal(await page.locator('.map').count(), 2);
      assert.equal(await page.locator('ol li').count(), 1);
    });
  });

  it('shows a cluster with a dead node, an open slot and zones', async () => {
    const file = join(dir, 'cluster.html');
    const [first, replica] = [at(nodes, 0), at(nodes, 3)];
    await replica.kill();
    const other = await idOfNode(at(nodes, 1));
    assert.equal(await ask(first, 'CLUSTER', 'SETSLOT', '5', 'MIGRATING', other), 'OK');
    await declaredFailed(
      nodes.filter((node) => node !== replica),
      replica,
    );
    const zones = nodes.flatMap(({ address }, index) => ['--zone', `${address}=zone-${index % 2}`]);
    await reported(file, first.address, ...zones);
    await assertReadable(file, async (page) => {
      for (const kind of ['node-failed', 'slot-open', 'masters-same-zone'])
        assert.equal(await page.locator('article code', { hasText: kind }).count(), 1, kind);
      const bars = await page
        .locator('.map svg')
        .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().width));
      assert.equal(bars.length, 4);
      for (const width of bars) assert.ok(width > 100, `a bar ${width} wide`);
    });
  });

  it('runs and loads nothing, whatever text it has in it', async () => {
    const page = await browser.newPage();
    for (const hostile of HOSTILE) {
      writeFileSync(join(dir, 'hostile.html'), reportHtml(reportWith(hostile)));
      const tried = watched(page, join(dir, 'hostile.html'));
      await page.goto(pathToFileURL(join(dir, 'hostile.html')).href);
      assert.equal(await page.locator('script, img, a, iframe, object, svg[onload]').count(), 0);
      assert.deepEqual(tried, []);
    }
    await page.close();
  });
});
