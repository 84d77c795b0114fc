"""How the page looks: light and dark, on a screen and on paper."""

CSS = """
:root { color-scheme: light dark;
  --paper: #fff; --ink: #1a1c1f; --quiet: #555c66; --rule: #d3d7dd; --soft: #f4f5f7;
  --window: #3b6fb5; --reference: #1a1c1f;
  --l1: #fff1dc; --l2: #ffd7a1; --l3: #f9a44a; --l4: #b93a0a; --l3-ink: #1a1c1f;
  --critical: #b3261e; --warning: #8a5300; --info: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15171a; --ink: #e8eaed; --quiet: #a5adb8; --rule: #3a3f47; --soft: #1f2226;
  --window: #7fb0ee; --reference: #e8eaed;
  --l1: #2e2418; --l2: #523517; --l3: #85490f; --l4: #c9481a; --l3-ink: #fff;
  --critical: #ff9d94; --warning: #ffc46b; --info: #94c4ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; overflow-wrap: anywhere; }
p, li { max-width: 48rem; overflow-wrap: anywhere; }
.lead { color: var(--quiet); margin: 0; }
.wide { overflow-x: auto; margin: .6rem 0; }
.wide:focus-visible { outline: 2px solid var(--window); }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding: .2rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem;
  border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
td { min-width: 3.5rem; } .heat td { min-width: 0; }
thead th { background: var(--soft); white-space: nowrap; }
tbody th { font-weight: 600; min-width: 8rem; max-width: 18rem; }
.number { text-align: right; white-space: nowrap; }
th.number[scope=row] { min-width: 0; }
.heat th, .heat td { text-align: center; padding: .2rem .3rem; border: 1px solid var(--rule);
  white-space: nowrap; }
.heat td { font-size: .8rem; }
.heat thead th { font-weight: 500; font-size: .72rem; line-height: 1.25; }
.heat tbody th { text-align: left; white-space: normal; position: sticky; left: 0;
  background: var(--paper); }
.level0 { color: var(--quiet); }
.level1 { background: var(--l1); } .level2 { background: var(--l2); }
.level3 { background: var(--l3); color: var(--l3-ink); }
.level4 { background: var(--l4); color: #fff; }
.heat .changed { font-weight: 700; box-shadow: inset 0 0 0 2px var(--ink); }
.legend { display: flex; flex-wrap: wrap; gap: .4rem; list-style: none; padding: 0;
  margin: .4rem 0; }
.swatch { display: inline-block; padding: .1rem .6rem; border: 1px solid var(--rule);
  font-size: .8rem; }
.badge { font-weight: 700; border: 1px solid currentColor; border-radius: .25rem;
  padding: 0 .4rem; font-size: .8rem; white-space: nowrap; }
.critical { color: var(--critical); } .warning { color: var(--warning); }
.info { color: var(--info); }
.lacking { border-left: .25rem solid var(--warning); padding-left: .8rem; }
figure { margin: .6rem 0; max-width: 46rem; }
figcaption { font-size: .875rem; color: var(--quiet); }
svg { width: 100%; height: auto; display: block; }
svg rect { fill: var(--window); } svg line { stroke: var(--rule); }
svg polyline { fill: none; stroke: var(--reference); stroke-width: 1.5; }
svg text { fill: var(--quiet); font: 11px system-ui, sans-serif; }
svg .axis { stroke: var(--quiet); } svg .strong { fill: var(--ink); font-weight: 600; }
svg .whisker { stroke: var(--window); stroke-width: 2; }
svg circle { fill: var(--window); stroke: var(--paper); stroke-width: 1; }
svg .statistic { stroke: var(--window); stroke-width: 2; }
svg .bound { stroke: var(--reference); stroke-dasharray: 5 3; }
svg .mark { stroke: var(--reference); stroke-width: 1.5; }
svg .inside { fill: var(--soft); }
svg .ours { stroke: var(--window); stroke-width: 2; }
svg .static { stroke: var(--reference); stroke-dasharray: 5 3; }
svg .third { stroke: var(--warning); }
svg .moment { stroke: var(--critical); stroke-width: 1; opacity: .7; }
svg rect.bad { fill: var(--critical); } figure.broad { max-width: none; }
.verdict { font-size: 1.1rem; margin: .6rem 0; }
.key { display: inline-block; width: 1.1rem; height: .7rem; }
.filled { background: var(--window); } .outlined { border: 1.5px solid var(--reference); }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
.life { padding-left: 1.2rem; } .life li { margin: .15rem 0; }
@page { margin: 14mm; }
@media print {
  :root { --paper: #fff; --ink: #000; --quiet: #444; --rule: #bbb; --soft: #f4f5f7;
    --window: #7d9cc8; --reference: #000; --l1: #fff1dc; --l2: #ffd7a1; --l3: #f9a44a;
    --l4: #b93a0a; --l3-ink: #000; --critical: #b3261e; --warning: #8a5300; --info: #1f5fa8; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow: visible; } table { font-size: 8pt; }
  .heat th, .heat td { padding: 1px 2px; font-size: 6.5pt; }
  .heat tbody th { min-width: 0; max-width: 7rem; }
  h2, h3, h3 + p { break-after: avoid; } tr, figure, svg { break-inside: avoid; }
}
"""
