import type { CheckResult } from '../../operations/check.ts';
import type { SlotFill } from '../../operations/slot-fill.ts';
import { VERSION } from '../../version.ts';
import { checkedMasters, type Told, withAdvice } from '../check-view.ts';
import type { Command, Invocation } from '../command.ts';
import { fromFlag } from '../flags.ts';
import type { Report } from '../report/report.ts';
import { zoneFlag, zonesOf } from '../zones.ts';

/** The data of `report`. */
export interface ReportData {
  readonly title: string;
  readonly verdict: string;
  /** As for `check`; none of a plan. */
  readonly findings: readonly Told[];
  /** The file of --html. */
  readonly html?: string;
  /** The text, with --markdown or without --html. */
  readonly markdown?: string;
}

export const reportCommand: Command<'report'> = {
  name: 'report',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Write a page about a cluster, or about a saved plan',
  details: 'In place of CLUSTER there may be a file: a plan, or what "bundle" has written.',
  example: '127.0.0.1:7000 --html cluster.html',
  reads: 'from',
  readsPlan: true,
  flags: {
    html: { type: 'string', value: 'FILE', help: 'Write it as HTML; a file there is replaced' },
    markdown: { type: 'boolean', help: 'Print it as Markdown (unless --html is given)' },
    from: fromFlag,
    zone: zoneFlag,
  },
  run: async (invocation) => {
    const { html, markdown } = invocation.values;
    const { report, findings } = await reportOn(invocation);
    const { title, verdict } = report;
    const data = { title, verdict, findings, ...(html === undefined ? {} : { html: `${html}` }) };
    if (html !== undefined) {
      const { reportHtml } = await import('../report/html.ts');
      const { writeNew } = await import('../new-file.ts');
      writeNew(`${html}`, reportHtml(report), '--html');
    }
    if (html !== undefined && markdown !== true)
      return { ok: true, text: `${title}: ${verdict}. The page is in ${html}`, data };
    const text = (await import('../report/markdown.ts')).reportMarkdown(report);
    return { ok: true, text, data: { ...data, markdown: text } };
  },
};

async function filled(found: CheckResult, options: Invocation['options']): Promise<SlotFill> {
  const { slotFill } = await import('../../operations/slot-fill.ts');
  return slotFill(checkedMasters(found), options);
}

async function reportOn(
  invocation: Invocation,
): Promise<{ readonly report: Report; readonly findings: readonly Told[] }> {
  const { positionals, elsewhere, bundled, plan, options, values } = invocation;
  const by = `redis-trib ${VERSION}`;
  if (plan)
    return { report: (await import('../report/of-plan.ts')).reportOfPlan(plan, { by }), findings: [] };
  const zones = zonesOf(values);
  const { check } = await import('../../operations/check.ts');
  const found = await check(bundled?.cluster ?? positionals[0] ?? '', { ...options, zones, elsewhere });
  const { reportOfCluster } = await import('../report/of-cluster.ts');
  const at = bundled?.at ?? new Date().toISOString();
  const findings = await withAdvice(found.findings, values);
  const fill = bundled ? undefined : await filled(found, options);
  return { report: reportOfCluster(found, findings, { at, by, zones, fill }), findings };
}
