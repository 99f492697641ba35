/** The style of the page: light or dark as the reader's system is, and ink-saving on paper. */
export const STYLE = `
:root{color-scheme:light dark;--page:#fff;--text:#1c2126;--quiet:#5b6670;--line:#d9dee3;--panel:#f5f7f9;--own:#2563a8;--good:#176c3a;--bad:#b3261e;--warn:#8a5a00}
@media (prefers-color-scheme:dark){:root{--page:#14181c;--text:#e4e8ec;--quiet:#9aa5af;--line:#333b43;--panel:#1d2329;--own:#6ba5e7;--good:#63c288;--bad:#ff8a80;--warn:#e0b050}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:70rem;background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.1rem;margin:2rem 0 .6rem}
.verdict{font-weight:600;margin:.2rem 0 1rem}
.good{color:var(--good)}
.bad{color:var(--bad)}
.warn{color:var(--warn)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:.6rem 1.5rem;margin:0}
dt{color:var(--quiet);font-size:.85rem}
dd{margin:0}
article{background:var(--panel);border-left:4px solid var(--quiet);margin:.5rem 0;padding:.5rem .8rem}
article.error{border-color:var(--bad)}
article.warning{border-color:var(--warn)}
article p{margin:0}
article strong{text-transform:capitalize}
.error strong{color:var(--bad)}
.warning strong{color:var(--warn)}
code{color:var(--quiet);font-size:.85em}
pre{margin:.4rem 0 0;white-space:pre-wrap;font-size:.85rem}
.map{display:grid;grid-template-columns:minmax(6rem,auto) auto minmax(0,1fr);gap:.3rem .8rem;align-items:center}
.map svg{width:100%;height:1.1rem;background:var(--panel);border:1px solid var(--line);print-color-adjust:exact;-webkit-print-color-adjust:exact}
.owned{fill:var(--own)}
.map svg.keys{height:2.2rem}
.keys{fill:var(--quiet)}
.legend{color:var(--quiet);font-size:.85rem;margin:.4rem 0 0}
.free{fill:var(--bad)}
.count,.number{text-align:right;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;overflow-wrap:normal}
th{color:var(--quiet);font-weight:600}
th.number,td.number{text-align:right}
td:first-child{white-space:nowrap}
@media (max-width:40rem){body{padding:1rem}.map{grid-template-columns:minmax(0,1fr) auto}.map svg{grid-column:1/-1;margin-bottom:.4rem}}
@media print{:root{color-scheme:light;--page:#fff;--text:#000;--quiet:#444;--line:#bbb;--panel:#fff;--own:#2563a8;--good:#176c3a;--bad:#b3261e;--warn:#8a5a00}body{max-width:none;padding:0;font-size:11px}article,tr,.map{break-inside:avoid}h2{break-after:avoid}.wide{overflow:visible}}
`;
