"""The table builder against tables written by hand."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest

from codesign.report.scale import axis_label, digits3, scale_of, spoken
from codesign.report.tables import build_table, escape_latex

TABLE = build_table(
    {
        "#": [1, 2, 3],
        "energy_j": [2.4e-6, 19.54e-6, 0.61e-6],
        "area_mm2": [1.754, 12.0, 0.05],
        "accuracy": [0.9917, 0.5, 1.0],
        "array_rows": [64, 128, 256],
        "calibrated": [True, False, True],
        "architecture": ["|conv~0|+|none~1|", "a_b & 50 %", "<c>"],
    },
    caption="Three pairs.",
    highlighted=1,
)


def test_headers_carry_the_unit_and_one_prefix() -> None:
    assert TABLE.headers == (
        "#", "energy (µJ)", "area (mm²)", "accuracy (%)", "array rows", "calibrated", "architecture",
    )  # fmt: skip


def test_quantities_have_three_digits_and_exact_values_stay() -> None:
    assert TABLE.rows == [
        ("1", "2.40", "1.75", "99.2", "64", "yes", "|conv~0|+|none~1|"),
        ("2", "19.5", "12.0", "50.0", "128", "no", "a_b & 50 %"),
        ("3", "0.610", "0.0500", "100", "256", "yes", "<c>"),
    ]


@pytest.mark.parametrize(
    ("name", "values", "label"),
    [
        ("latency_s", [4.5e-4, 3.8e-4, 2.0], "latency (µs)"),
        ("latency_s", [0.9996e-3], "latency (ms)"),
        ("energy_j", [0.0, float("nan"), 3e-9], "energy (nJ)"),
        ("energy_j", [], "energy (J)"),
        ("macs", [6.7e5, 1.2e6, 3e6], "MACs (M)"),
        ("rate_macs_per_s", [3e9], "rate (GMAC/s)"),
        ("peak_activation_bytes", [2e3], "peak activation (kB)"),
        ("area_mm2", [4000.0], "area (mm²)"),
        ("conductance_sigma", [0.05], "conductance sigma"),
        ("accuracy_test", [0.5], "test accuracy (%)"),
    ],
)
def test_prefix_is_that_of_the_median(name: str, values: list[float], label: str) -> None:
    assert scale_of(name, values).label == label


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1.00"), (9.995, "9.99"), (9.996, "10.0"), (999.6, "1000"), (12345.0, "12300"), (-0.012345, "-0.0123")],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert digits3(value) == text


def test_running_text_and_axis_name_unit_and_direction() -> None:
    assert spoken("energy_j", 2.4e-6) == "energy 2.40 µJ"
    assert axis_label(scale_of("accuracy", []), "higher") == "accuracy (%), higher is better"


def test_markdown_aligns_numbers_and_escapes_bars() -> None:
    lines = TABLE.markdown().splitlines()
    assert lines[0] == "Three pairs."
    assert lines[3] == "| ---: | ---: | ---: | ---: | ---: | :--- | :--- |"
    assert lines[4].endswith(r"| yes | \|conv~0\|+\|none~1\| |")
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines[2:]}) == 1


def test_latex_is_booktabs_and_escaped() -> None:
    text = TABLE.latex()
    assert r"\begin{tabular}{rrrrrll}" in text
    assert r"\# & energy (\textmu{}J) & area (mm\textsuperscript{2}) & accuracy (\%)" in text
    assert r"a\_b \& 50 \% \\" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_latex_leaves_no_command_character() -> None:
    assert escape_latex(r"\a^~{}$#_&%|<>") == (
        r"\textbackslash{}a\textasciicircum{}\textasciitilde{}\{\}\$\#\_\&\%\textbar{}\textless{}\textgreater{}"
    )


def test_csv_reads_back() -> None:
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert tuple(rows[0]) == TABLE.headers
    assert [tuple(row) for row in rows[1:]] == TABLE.rows


def test_html_sorts_by_unscaled_numbers_and_escapes() -> None:
    found: list[tuple[str, str | None]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs).get("data-value")))

    Reader().feed(TABLE.html())
    assert [value for tag, value in found if tag == "td"][:4] == ["1.0", "2.4e-06", "1.754", "0.9917"]
    assert "&lt;c&gt;" in TABLE.html()
    assert TABLE.html().count('class="highlighted"') == 1


def test_terminal_table_has_all_cells() -> None:
    table = TABLE.rich()
    assert len(table.columns) == 7
    assert table.row_count == 3


def test_empty_table_renders() -> None:
    empty = build_table({"energy_j": [], "architecture": []}, caption="None.")
    assert empty.rows == []
    assert empty.headers[0] == "energy (J)"
    assert "<tbody>" in empty.html()
    assert r"\midrule" in empty.latex()


def test_a_sentence_tells_what_people_read_once() -> None:
    from codesign.report.html import _spoken

    told = {"accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.95, "accuracy_top5": 1.0, "spread": float("nan")}
    assert list(_spoken(told)) == ["accuracy 90.0 % (95 %: 85.0 to 95.0 %)"]
