"""One builder for every table: unit in the header, one SI prefix a column, three significant digits, fixed order.

A `Table` holds what is shown and the numbers behind it; it renders to Markdown, LaTeX (booktabs), CSV, HTML (sortable
by the numbers) and a rich table. Nothing here prints.
"""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from codesign.report.scale import digits3, scale_of, title
from codesign.report.summary import Summary
from hwmodels.units import split_unit

if TYPE_CHECKING:
    import rich.table

__all__ = [
    "IN_FILES",
    "Column",
    "Table",
    "build_table",
    "escape_latex",
    "ledger_table",
    "pareto_table",
    "reading_table",
]


class Column(NamedTuple):
    """One column as shown. `numbers` are the unscaled values behind the cells, None for text."""

    header: str
    cells: tuple[str, ...]
    numbers: tuple[float, ...] | None


class Table(NamedTuple):
    """Columns of equal length; `highlighted` is the row that is set off, or None."""

    columns: tuple[Column, ...]
    caption: str
    highlighted: int | None = None

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))

    @property
    def headers(self) -> tuple[str, ...]:
        return tuple(column.header for column in self.columns)

    def markdown(self) -> str:
        """A GitHub table; numbers are right-aligned."""
        rule = ["---:" if column.numbers else ":---" for column in self.columns]
        lines = [self.headers, rule, *self.rows]
        text = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        text[1] = text[1].replace("\\|", "|")
        return f"{self.caption}\n\n" + "\n".join(text) + "\n"

    def latex(self) -> str:
        """A booktabs table; needs ``\\usepackage{booktabs,textcomp}``."""
        align = "".join("r" if column.numbers else "l" for column in self.columns)
        lines = [" & ".join(map(escape_latex, line)) + r" \\" for line in (self.headers, *self.rows)]
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{escape_latex(self.caption)}}}",
                rf"\begin{{tabular}}{{{align}}}",
                r"\toprule",
                lines[0],
                r"\midrule",
                *lines[1:],
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )

    def csv(self) -> str:
        """Comma-separated, with the same headers and digits; unrounded values are in front.json."""
        sink = io.StringIO()
        csv.writer(sink, lineterminator="\n").writerows([self.headers, *self.rows])
        return sink.getvalue()

    def html(self) -> str:
        """A ``<table>``; cells of numbers carry the unscaled value in ``data-value``, for sorting."""
        head = "".join(
            f'<th scope="col" class="{"number" if column.numbers else "text"}">{html.escape(column.header)}</th>'
            for column in self.columns
        )
        starts = ['<tr class="highlighted">' if i == self.highlighted else "<tr>" for i in range(len(self.rows))]
        body = "".join(
            start + "".join(_cell(column, i) for column in self.columns) + "</tr>\n" for i, start in enumerate(starts)
        )
        caption = f"<caption>{html.escape(self.caption)}</caption>"
        return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"

    def rich(self) -> rich.table.Table:
        """For a terminal: numbers keep their width, texts fold into what is left."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as RichTable
        from rich.text import Text

        out = RichTable(title=self.caption, title_justify="left", box=SIMPLE_HEAD, padding=0)
        for column in self.columns:
            if column.numbers:
                width = max(len(word) for word in (*column.cells, *column.header.split()))
                out.add_column(Text(column.header), justify="right", width=width)
            else:
                out.add_column(Text(column.header), overflow="fold")
        for i, row in enumerate(self.rows):
            out.add_row(*(Text(cell) for cell in row), style="bold" if i == self.highlighted else None)
        return out


def build_table(values: Mapping[str, Sequence[Any]], *, caption: str, highlighted: int | None = None) -> Table:
    """A table from named columns, in the order given.

    Parameters
    ----------
    values : column name, with its unit last (``energy_j``), -> one value a row. Floats are quantities: one SI prefix a
        column, three digits. Whole numbers without a unit, bits, switches and texts are exact and shown as they are.

    >>> print(build_table({"tiles": [4, 8], "energy_j": [2.5e-6, 1e-5]}, caption="Two.").csv())
    tiles,energy (µJ)
    4,2.50
    8,10.0
    <BLANKLINE>
    """
    columns = tuple(_column(name, list(cells)) for name, cells in values.items())
    return Table(columns, caption, highlighted)


def pareto_table(summary: Summary) -> Table:
    """The front of a run: objectives, then the hardware, then the network; the knee is set off."""
    front = summary.front
    names = list(front[0].objectives) if front else []
    values: dict[str, Sequence[Any]] = {"#": list(range(1, len(front) + 1))}
    values |= {name: [pair.objectives.get(name, math.nan) for pair in front] for name in names}
    values |= {name: [pair.hardware[name] for pair in front] for name in (front[0].hardware if front else ())}
    values["architecture"] = [pair.architecture for pair in front]
    where = f"; the knee is row {summary.knee + 1}" if summary.knee is not None else ""
    judged = bool(front) and "accuracy" in names
    interval = "; 95 %: Wilson interval of the accuracy by the number of validation images" if judged else ""
    caption = f"Pareto front, {len(front)} pairs{where}{interval}."
    return build_table(values, caption=caption, highlighted=summary.knee)


def reading_table(summary: Summary) -> Table:
    """The front as people read it, on a page or a terminal: the table of the files in fewer columns.

    The interval stands beside its accuracy, and knobs that all pairs share are told in the caption. A column without a
    value is left out, and so is the accuracy among five classes, which is in the files.
    """
    whole = pareto_table(summary)
    names = ["#", *(summary.front[0].objectives if summary.front else ())]
    named = dict(zip(names, whole.columns, strict=False))
    kept, shared = [], []
    for column in whole.columns:
        if column is named.get("accuracy"):
            low, high = named["accuracy_low"].cells, named["accuracy_high"].cells
            cells = zip(column.cells, low, high, strict=True)
            told = tuple(cell if none == "–" else f"{cell} ({none} to {most})" for cell, none, most in cells)
            kept.append(column._replace(header=f"{column.header}, 95 % interval", cells=told))
        elif column in [named.get(name) for name in IN_FILES] or set(column.cells) == {"–"}:
            continue
        elif column not in named.values() and len(summary.front) > 1 and len(set(column.cells)) == 1:
            shared.append(f"{column.header} {column.cells[0]}")
        else:
            kept.append(column)
    caption = whole.caption + (f" All have {', '.join(shared)}." if shared else "")
    return Table(tuple(kept), caption, whole.highlighted)


IN_FILES = ("accuracy_low", "accuracy_high", "accuracy_top5")
"""Columns of the files that people do not read."""


def ledger_table(summary: Summary) -> Table:
    """Count pairs by outcome, in total and by generation."""
    parts = [summary.ledger, *summary.generations]
    counts = {"considered": [float(one.considered) for one in parts]}
    for reason in summary.ledger.pruned:
        counts[f"pruned, {reason}"] = [float(one.pruned.get(reason, 0)) for one in parts]
    words_of = (_LEDGER_WORDS if summary.judged_by else _COST_WORDS) | (_AUDIT_WORDS if summary.ledger.audited else {})
    words_of |= _DIVERGED_WORDS if summary.ledger.diverged else {}
    for name, words in words_of.items():
        counts[words] = [float(getattr(one, name)) for one in parts]
    seconds = {f"{level} level (s)": [one.seconds.get(level, 0.0) for one in parts] for level in summary.ledger.seconds}
    shown = [[f"{value:,.0f}" for value in line] for line in counts.values()]
    shown += [[digits3(value) for value in line] for line in seconds.values()]
    numbers = [*counts.values(), *seconds.values()]
    headers = ["total", *(f"generation {i}" for i in range(1, len(parts)))]
    columns = [
        Column(header, tuple(line[i] for line in shown), tuple(line[i] for line in numbers))
        for i, header in enumerate(headers)
    ]
    first = Column("count", (*counts, *seconds), None)
    return Table((first, *columns), "Pairs of network and hardware, by what became of them.")


_LEDGER_WORDS = {
    "deferred": "deferred (survived, not chosen for training)",
    "evaluated": "evaluated (accuracy known)",
    "violating": "of these below the least accuracy",
    "trained": "networks trained",
    "estimates": "accuracies measured",
}
_COST_WORDS = {"evaluated": "kept (no pair costs less)"}
_AUDIT_WORDS = {
    "audited": "guessed away, and evaluated to check the guess",
    "misjudged": "of these on the front of their generation: false prunes",
}
_DIVERGED_WORDS = {"diverged": "accuracies that are chance: diverged"}


def _column(name: str, values: list[Any]) -> Column:
    unit = split_unit(name)[1]
    exact = unit == "bit" or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    exact = exact or (not unit and all(isinstance(v, int) for v in values))
    if exact:
        numeric = bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        numbers = tuple(float(v) for v in values) if numeric else None
        return Column(title(name), tuple(_exact(v) for v in values), numbers)
    scale = scale_of(name, values)
    return Column(scale.label, tuple(digits3(float(v) / scale.factor) for v in values), tuple(map(float, values)))


def _exact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _cell(column: Column, row: int) -> str:
    shown = html.escape(column.cells[row])
    if column.numbers is None:
        return f'<td class="text">{shown}</td>'
    number = column.numbers[row]
    value = f' data-value="{number!r}"' if math.isfinite(number) else ""
    return f'<td class="number"{value}>{shown}</td>'


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "µ": r"\textmu{}",
    "²": r"\textsuperscript{2}",
    "–": "--",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
}


def escape_latex(text: str) -> str:
    """Text with every character that LaTeX would take for a command made harmless.

    >>> print(escape_latex("50 % of a_b"))
    50 \\% of a\\_b
    """
    return "".join(_LATEX.get(character, character) for character in text)
