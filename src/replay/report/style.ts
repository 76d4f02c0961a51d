/** The page's style. Plots tell things apart by place and words; colours only repeat it. */
export const STYLE = `
:root {
  color-scheme: light;
  --page: #fff; --text: #1b1f24; --muted: #57606a; --line: #c6ccd3; --faint: #f3f5f7;
  --accepted: #2166ac; --refused: #b04a00; --banned: #762a83;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    color-scheme: dark;
    --page: #14171a; --text: #e6e8ea; --muted: #a0a8b0; --line: #444c54; --faint: #1e2327;
    --accepted: #6cb0f0; --refused: #f0a04b; --banned: #c79be0;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0 auto; padding: 1rem; max-width: 80rem;
  background: var(--page); color: var(--text); font: 1rem/1.45 system-ui, sans-serif;
}
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 0.5rem; }
h1 { margin-top: 0.5rem; }
h2 { border-top: 1px solid var(--line); padding-top: 1rem; }
p, figcaption { max-width: 48rem; margin: 0.5rem 0; }
figcaption, caption, .lane span, svg.axis { color: var(--muted); }
figure { margin: 0 0 1.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1rem; }
dt { color: var(--muted); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
li { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--faint); padding: 0.75rem; font-size: 0.875rem; }
.scroll { container-type: inline-size; overflow-x: auto; margin-bottom: 1.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { position: sticky; left: 0; max-width: 100cqi; text-align: left; padding-bottom: 0.25rem; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top; white-space: nowrap; }
th:first-child { position: sticky; left: 0; background: var(--page); font-weight: 600; }
tbody tr { border-top: 1px solid var(--line); }
.right { text-align: right; }
.plot { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 0.4rem 1rem; align-items: center; }
.lane { font-size: 0.875rem; line-height: 1.3; overflow-wrap: anywhere; }
.lane b { display: block; }
svg { display: block; width: 100%; }
svg.area { height: 3.5rem; background: var(--faint); }
.bans svg.area { height: 1.4rem; }
.levels svg.area { height: 7rem; }
svg.axis { height: 1.25rem; font-size: 0.75rem; fill: currentColor; overflow: visible; }
.between { text-anchor: middle; }
.last { text-anchor: end; }
path, rect, line { vector-effect: non-scaling-stroke; stroke-width: 1px; }
.grid { stroke: var(--line); }
.accepted { fill: var(--accepted); stroke: var(--accepted); }
.refused { fill: var(--refused); stroke: var(--refused); }
.banned { fill: var(--banned); stroke: var(--banned); }
.shadow { fill: none; stroke: var(--banned); stroke-dasharray: 4 3; }
.during { fill: var(--banned); stroke: var(--banned); fill-opacity: 0.2; }
.level { fill: none; stroke: var(--accepted); stroke-width: 2px; }
.below { fill: var(--accepted); fill-opacity: 0.2; }
.mark { stroke: var(--refused); stroke-width: 2px; }
select { font: inherit; max-width: 100%; padding: 0.25rem; color: inherit; background: var(--faint); border: 1px solid var(--muted); border-radius: 4px; }
:focus-visible { outline: 2px solid var(--accepted); outline-offset: 2px; }
@media (max-width: 45rem) {
  .plot { grid-template-columns: minmax(0, 1fr); gap: 0.1rem; }
  .lane { margin-top: 0.4rem; }
  .lane b { display: inline; }
  .lane.axis { display: none; }
  dl { grid-template-columns: minmax(0, 1fr); }
  dd { margin-bottom: 0.5rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  svg, pre { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, tr, .chooser { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
  th, td { white-space: normal; }
}
`
