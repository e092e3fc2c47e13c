"""Measured rows: read as written, layers in words, every mistake told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwmodels.errors import SpecError
from hwmodels.measurements import Measurement, layer, read_measurements, workload_of, write_measurements
from hwmodels.workload.ops import Kind

ROWS = (
    Measurement("a", "resnet18", seconds=0.02, spread=0.1, threads=2),
    Measurement(
        "b", "conv 64x28x28 out=32 kernel=3 stride=2 padding=1", 4, 1, "compiled", "int8", "hot", 1e-3, 0.0, 0.5
    ),
)


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_measurements(ROWS, path)
    first, second = read_measurements(path)
    assert second == ROWS[1]
    assert (first.name, first.seconds, first.threads, first.spread) == ("a", 0.02, 2, 0.1)
    assert first.energy_j != first.energy_j  # not a number: not measured


def test_columns_that_are_left_out_have_defaults(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("name,network,seconds\nx,resnet18,0.5\n")
    (row,) = read_measurements(path)
    assert (row.batch, row.threads, row.runtime, row.precision, row.context) == (1, 0, "eager", "fp32", "cold")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,network,secnds\nx,resnet18,1\n", "did you mean seconds"),
        ("name,network\nx,resnet18\n", "column seconds"),
        ("name,network,seconds\n", "at least one measurement"),
        ("name,network,seconds\nx,resnet18,fast\n", ":2: seconds: fast is not a number"),
        ("name,network,seconds\nx,resnet18,1\ny,resnet18,-1\n", ":3: seconds: -1.0 is not > 0"),
        ("name,network,seconds,batch\nx,resnet18,1,1.5\n", "batch: 1.5 is not a whole number"),
        ("name,network,seconds,batch\nx,resnet18,1,0\n", "batch: 0 is not >= 1"),
        ("name,network,seconds,runtime\nx,resnet18,1,compild\n", "did you mean compiled"),
        ("name,network,seconds,precision\nx,resnet18,1,fp63\n", "precision"),
        ("name,network,seconds,context\nx,resnet18,1,warm\n", "context"),
        ("name,network,seconds\nx,,1\n", "a network of the zoo or a layer"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SpecError, match=told.replace("(", r"\(")) as error:
        read_measurements(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the file"):
        read_measurements(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("text", "kind", "macs", "outputs"),
    [
        ("conv 64x56x56 out=128 kernel=3 stride=2 padding=1", Kind.CONV, 28 * 28 * 128 * 576, 128 * 784),
        ("conv 32x10x10 out=32 kernel=3 groups=32", Kind.CONV, 3200 * 9, 3200),
        ("linear 16x768 out=100", Kind.LINEAR, 16 * 768 * 100, 1600),
        ("matmul 12x20x64 12x64x30", Kind.MATMUL, 12 * 20 * 64 * 30, 12 * 600),
        ("lstm 10x32 hidden=16", Kind.RECURRENT, 10 * 64 * 48, 160),
        ("pool 8x8x8 mode=avg kernel=2 stride=2", Kind.POOL, 0, 128),
        ("pool 8x8x8 mode=avg", Kind.POOL, 0, 8),
        ("norm 16x64 mode=layer", Kind.NORM, 0, 1024),
        ("activation 8x4x4 function=gelu", Kind.ACTIVATION, 0, 128),
        ("elementwise 8x4x4", Kind.ELEMENTWISE, 0, 128),
        ("softmax 4x9x9", Kind.SOFTMAX, 0, 324),
    ],
)
def test_a_layer_in_words_is_that_layer(text: str, kind: Kind, macs: int, outputs: int) -> None:
    (row,) = (row for _, row in layer(text, batch=3).rows())
    assert (row.kind, row.macs, row.output_elements) == (kind, 3 * macs, 3 * outputs)
    if kind == Kind.ELEMENTWISE:
        assert row.input_elements == 2 * row.output_elements


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cnv 3x8x8 out=4", "did you mean conv"),
        ("conv 3x8x8 outs=4", "did you mean out"),
        ("conv 3x8x8 kernel=3", "out: absent"),
        ("conv 3x8xb out=4", "extents as"),
        ("conv 3x8x8 out=many", "whole numbers"),
        ("conv 3x8x8 out=4 groups=2", "groups do not divide"),
        ("matmul 4x8x8", "two inputs"),
        ("pool 3x8x8 mode=min", "min is not one of"),
    ],
)
def test_a_bad_layer_is_told(text: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        layer(text)


def test_a_row_is_executed_as_its_runtime_does() -> None:
    eager, compiled = (
        workload_of(Measurement("x", "resnet18@3x64x64", runtime=how, precision="fp16"))
        for how in ("eager", "compiled")
    )
    assert len(list(compiled.rows())) < len(list(eager.rows()))
    assert eager.macs == compiled.macs < workload_of(Measurement("x", "resnet18")).macs
    assert {row.activation_bits for _, row in eager.rows()} == {16}
