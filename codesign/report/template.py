"""The page's frame: semantic HTML, one style sheet, one script; everything inline, nothing fetched.

Light and dark follow the reader's system; figures are drawn by the inlined plotly in the page's own colours.
Placeholders are those of `string.Template`.
"""

from __future__ import annotations

from string import Template

__all__ = ["PAGE"]

_STYLE = """
:root { color-scheme: light dark; --page: #fdfdfc; --text: #1d1f21; --soft: #5b6066; --line: #d9dadc; --mark: #fdeee3;
  --card: #f3f4f4; --link: #00598c; }
@media (prefers-color-scheme: dark) { :root { --page: #17191b; --text: #e7e8e9; --soft: #a3a8ad; --line: #3a3e42;
  --mark: #46301f; --card: #212427; --link: #7cc4f2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); }
p, figcaption { max-width: 48rem; }
nav a { color: var(--link); margin-right: 1rem; white-space: nowrap; }
figcaption, .note, caption { color: var(--soft); font-size: .875rem; text-align: left; }
dl.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0; }
dl.numbers div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
dl.numbers dt { color: var(--soft); font-size: .8rem; }
dl.numbers dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: 0 1.5rem; }
figure { margin: 1rem 0; min-width: 0; }
.plot { width: 100%; min-height: 26rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { padding: .3rem 0; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { text-align: left; vertical-align: bottom; }
code { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.text { overflow-wrap: break-word; min-width: 9rem; }
.sortable th, .sortable td { padding: .3rem .4rem; }
.sortable td.text { min-width: 12rem; overflow-wrap: anywhere; font: .75rem/1.4 ui-monospace, monospace; }
tr.highlighted { background: var(--mark); }
.sortable th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0;
  max-width: 5.5rem; white-space: normal; text-align: inherit; cursor: pointer; }
.sortable th[aria-sort=ascending] button::after { content: " ▲"; }
.sortable th[aria-sort=descending] button::after { content: " ▼"; }
pre { overflow-x: auto; background: var(--card); padding: .8rem; border-radius: .5rem; font-size: .8rem; }
footer { color: var(--soft); font-size: .875rem; padding: 2rem 1rem; }
@media (max-width: 40rem) { .plot { min-height: 22rem; } }
@media print { :root { color-scheme: light; --page: #fff; --text: #000; --soft: #333; --line: #aaa; --card: #f3f4f4;
    --mark: #eee; }
  nav { display: none; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; } .scroll { overflow: visible; }
  table { font-size: .65rem; } pre { white-space: pre-wrap; } }
"""

_SCRIPT = """
"use strict";
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plots = [...document.querySelectorAll(".plot")];

function themed(layout) {
  const axis = { gridcolor: colour("--line"), linecolor: colour("--soft"), tickcolor: colour("--soft") };
  const out = { ...layout, font: { family: "system-ui, sans-serif", size: 12, color: colour("--text") } };
  for (const key of ["xaxis", "yaxis", "yaxis2"]) if (layout[key]) out[key] = { ...axis, ...layout[key] };
  return out;
}

function draw(first) {
  const narrow = window.matchMedia("(max-width: 40rem)").matches;
  for (const plot of plots) {
    const figure = JSON.parse(document.getElementById(plot.id + "-data").textContent);
    const layout = themed(figure.layout);
    layout.height = layout.height || (narrow ? 420 : 460);
    plot.style.minHeight = layout.height + "px";
    if (narrow) {
      layout.font.size = 10;
      layout.dragmode = false;  // a finger scrolls the page
    }
    const options = { responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover" };
    (first ? Plotly.newPlot : Plotly.react)(plot, figure.data, layout, options);
  }
}

function sortable(table) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const value = row => { const cell = row.cells[column];
        return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent; };
      const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(b);
      const rows = [...table.tBodies[0].rows].sort((a, b) => order(value(a), value(b)) * (down ? -1 : 1));
      table.querySelectorAll("thead th").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      table.tBodies[0].append(...rows);
    });
  });
}

draw(true);
document.querySelectorAll(".sortable table").forEach(sortable);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(false));
window.matchMedia("(max-width: 40rem)").addEventListener("change", () => draw(false));
"""

PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>"""
    + _STYLE
    + """</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$lead</p>
<nav aria-label="Sections">$navigation</nav>
</header>
<main>
$sections
</main>
<footer>$footer</footer>
<script>$plotly</script>
<script>"""
    + _SCRIPT.replace("$", "$$")
    + """</script>
</body>
</html>
"""
)
