"""One's own measurements as a CSV table: a column that is asked for, every other column a number.

A row is an image of one pixel with a channel a feature, (features, 1, 1): each feature is standardised by itself, and a
1x1 convolution on it is a dense layer, which the chains and one's own spaces have. 60, 20 and 20 % of each class are
training, validation and test by the frozen seed.

The column holds classes, or with the task `regression` numbers: those are standardised by the training part, and rows
are split without regard to them.

With `split: whole` every row is in each of the three parts: for a function that the table holds at every point, as a
truth table, where there is nothing else to be right on. Nothing then says how a network does on other items.

Not modelled: features that are no numbers, missing values, several columns that are asked for.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from codesign.data.base import (
    F32,
    FEWEST_SPLIT,
    Dataset,
    Options,
    Part,
    check_labels,
    check_shape,
    split,
    standardised,
    stratified,
)
from codesign.data.files import content_of, given_root
from codesign.task import Regression
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["read_table"]

_LABEL = "label"


def read_table(name: str, options: Options) -> Dataset:
    """The rows of a CSV file, packed by gzip where its name ends in .gz.

    Raises
    ------
    SpecError : no CSV file, no such column, a value that is no finite number, or too few rows, of a class or in all.
    """
    path = given_root(name, options.root, "a CSV file with a column of classes or numbers")
    label = _LABEL if options.label is None else options.label
    frame = _frame(str(path), content_of(path))
    columns = [str(column) for column in frame.columns]
    if label not in columns:
        raise SpecError.unknown(f"{path}: data: label", label, columns)
    if options.task == "regression":
        return _with_numbers(name, str(path), frame, label, whole=options.split == "whole")
    if frame[label].isna().any():
        row = int(np.flatnonzero(frame[label].isna())[0])
        raise SpecError(f"{path}: {label}", f"row {row + 1}", "with a class")
    names, labels = np.unique(frame[label].to_numpy().astype(str), return_inverse=True)
    whole = options.split == "whole"
    check_labels(path, labels, len(names), fewest=1 if whole else FEWEST_SPLIT)
    images, classes = _features(str(path), frame, label), labels.astype(np.int64)
    if whole:
        part = Part(images, classes)
        return standardised(name, part, part, part, len(names))
    return split(name, images, classes, len(names))


def _with_numbers(name: str, where: str, frame: DataFrame, label: str, *, whole: bool) -> Dataset:
    """A table whose asked column holds numbers."""
    images = _features(where, frame, label)
    _check_column(where, frame, label)
    if not whole and len(frame) < FEWEST_SPLIT:
        raise SpecError(where, f"{len(frame)} rows", f"at least {FEWEST_SPLIT}, to be split in three")
    numbers = frame[label].to_numpy(np.float64)
    everything = np.arange(len(numbers))
    parts = [everything] * 3 if whole else stratified(np.zeros(len(numbers), np.int64), (0.6, 0.2))
    mean, deviation = float(numbers[parts[0]].mean()), float(numbers[parts[0]].std())
    if not 0 < deviation < np.inf:
        raise SpecError(f"{where}: {label}", "one and the same number to train on", "numbers that differ")
    targets = ((numbers - mean) / deviation).astype(np.float32)
    train, validation, test = (Part(images[index], targets[index]) for index in parts)
    made = standardised(name, train, validation, test, classes=1)
    return replace(made, task=Regression(deviation))


def _features(where: str, frame: DataFrame, label: str) -> F32:
    """Every column but the asked one, as images (B, features, 1, 1)."""
    features = frame.drop(columns=label)
    check_shape(where, (len(features), features.shape[1], 1, 1))
    for column in features.columns:
        _check_column(where, features, str(column))
    numbers: F32 = features.to_numpy(np.float64).astype(np.float32)[:, :, None, None]
    return numbers


def _frame(where: str, content: bytes) -> DataFrame:
    import pandas

    try:
        frame = pandas.read_csv(io.BytesIO(content), low_memory=False, skipinitialspace=True)
    except Exception as error:  # what is no table raises anything
        raise SpecError(where, error, "a CSV table with a header") from None
    if not isinstance(frame.index, pandas.RangeIndex):
        raise SpecError(where, "a row", "as long as the header")
    return frame


def _check_column(where: str, features: DataFrame, column: str) -> None:
    """Whether every value of a column is a finite number in float32.

    Raises
    ------
    SpecError : the first that is not, by its row.
    """
    import pandas

    numbers = pandas.to_numeric(features[column], errors="coerce").to_numpy(np.float64)
    with np.errstate(over="ignore"):
        bad = np.flatnonzero(~np.isfinite(numbers.astype(np.float32)))
    if features[column].dtype.kind not in "iuf" or bad.size:
        row = int(bad[0]) if bad.size else 0
        raise SpecError(f"{where}: {column}, row {row + 1}", features[column].iloc[row], "a finite number")
