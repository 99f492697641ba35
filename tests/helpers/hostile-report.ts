import type { Report } from '../../lib/cli/report/report.ts';

/** Texts that would be markup, would hide what stands beside them, or would turn it around. */
export const HOSTILE: readonly string[] = [
  '<script>alert(1)</script>',
  '"><svg onload=alert(1)>',
  "' onmouseover='alert(1)",
  '</style><style>*{display:none}',
  '</title>',
  '\u202egpj.exe\u202c',
  '\u2066hidden\u2069\u061c',
  '\u001b[31mred',
  '| cell | `code` **bold** [link](javascript:alert(1)) ![image](http://evil)',
  '@someone #12 www.evil.example https://evil.example',
  '```\n# heading\n```',
  '~~~',
  '&lt;script&gt;',
  '# heading',
  '1. list',
];

/** A report that has this text in each of its places. */
export function reportWith(text: string): Report {
  return {
    title: text,
    ok: false,
    verdict: text,
    facts: [[text, text]],
    findings: [{ severity: 'warning', kind: 'same-host', message: text, hint: text }],
    maps: [{ title: text, owners: [{ name: text, slots: [[0, 5]] }] }],
    tables: [{ title: text, head: [text], numeric: [], rows: [[text]] }],
    steps: [text],
  };
}
