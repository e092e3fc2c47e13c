"""Accuracy tables: every network of a cell space trained beforehand, so that strategies compare without training.

`digits-cells` ships with the package: our own trainings, made by ``benchmarks/tables/digits_cells.py``. The published
NAS-Bench-201 accuracies are read from a file of the user's.

A table answers for what it holds and for what must be equal to it: genotypes that are the same network, and crossbars
that read without loss, which give the integer result. Anything else is refused, never interpolated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimate, Request
from codesign.estimate.recipe import Recipe
from codesign.space.base import Genotypes
from codesign.space.cell import CellSpace
from codesign.space.trained_cells import TrainedCells
from codesign.task import Better
from hwmodels.array_file import read_arrays
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics, lossless_adc_bits
from hwmodels.workload.ops import Precision

__all__ = [
    "DIGITS_CELLS",
    "AccuracyTable",
    "TableDefinition",
    "digits_cells",
    "read_nasbench201",
    "write_table",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TableDefinition:
    """What a table of our own holds: which cells, how they are trained, and under which arithmetic they are read.

    At fidelity 1 every arithmetic of `numerics`; below, the first only.
    """

    name: str
    version: int
    dataset: str
    channels: int
    cells_a_stage: int
    stages: int
    input_shape: tuple[int, int, int]
    operations: tuple[str, ...]
    recipe: Recipe
    seeds: int
    fidelities: tuple[float, ...]
    numerics: tuple[Numerics, ...]

    def space(self, precision: Precision | None = None) -> CellSpace:
        return CellSpace(
            channels=self.channels,
            cells=self.cells_a_stage,
            stages=self.stages,
            input_shape=self.input_shape,
            operations=self.operations,
            precision=precision,
        )

    def as_dict(self) -> dict[str, Any]:
        """For a manifest; numerics by field."""
        plain = {name: value for name, value in vars(self).items() if name not in ("recipe", "numerics")}
        numerics = [numerics._asdict() for numerics in self.numerics]
        return {**plain, "recipe": self.recipe.content(), "numerics": numerics}


def _analog(adc_bits: int) -> Numerics:
    """64 rows of 2-bit cells under 2-bit DACs, offset weights: 10 bits would be lossless."""
    return Numerics(8, 8, cell_bits=2, dac_bits=2, active_rows=64, adc_bits=adc_bits, adc_calibrated=1)


DIGITS_CELLS = TableDefinition(
    name="digits-cells",
    version=1,
    dataset="noisy-digits",
    channels=4,
    cells_a_stage=1,
    stages=3,
    input_shape=(1, 8, 8),
    operations=("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"),
    recipe=Recipe(epochs=6, batch_size=50, learning_rate=0.02),
    seeds=3,
    fidelities=(1.0, 1 / 3),
    numerics=(Numerics(8, 8), FLOAT, Numerics(4, 4), *(_analog(bits) for bits in (4, 5, 6, 7))),
)


@dataclass(frozen=True, eq=False)
class AccuracyTable:
    """Accuracies of every connected cell of a space.

    cells : (N,) numbers of the cells, rising; `space.canonical` leads to one of them.
    validation, test : (N, S, F, A) share told right by cell, seed, fidelity and arithmetic, NaN where not measured.
    seconds : (N, S, F) of each training. parameters : (N,).
    float_from : widths from which an integer network counts as its float one; 32 where the table measured them.
    images : of the validation split; 0 where the table does not say.
    read : fields of an arithmetic that choose its column; all of them unless the table says that others do not count.
    """

    name: str
    space: CellSpace | TrainedCells
    cells: I64
    fidelities: tuple[float, ...]
    numerics: tuple[Numerics, ...]
    validation: F64
    test: F64
    seconds: F64
    parameters: I64
    float_from: int = 32
    images: int = 0
    read: tuple[str, ...] = Numerics._fields

    def rows(self, genotypes: Genotypes) -> I64:
        """Position of each network in `cells`, (P,); -1 where the cell is not connected."""
        numbers = self.space.number_of(self.space.canonical(genotypes))
        at = np.minimum(np.searchsorted(self.cells, numbers), len(self.cells) - 1)
        return np.where(self.cells[at] == numbers, at, -1)

    def column(self, numerics: Numerics) -> int:
        """Position of an arithmetic in `numerics`.

        A crossbar that reads without loss gives the integer result, so that it has the column of its widths.

        Raises
        ------
        SpecError : neither measured nor equal to one that is.
        """
        if self.read != Numerics._fields:
            return self._column_of_read(numerics)
        if numerics not in self.numerics and numerics.is_crossbar and _is_lossless(numerics):
            numerics = Numerics(numerics.weight_bits, numerics.activation_bits)
        is_integer = numerics.weight_exponent_bits == numerics.activation_exponent_bits == 0
        if is_integer and not numerics.is_crossbar and min(numerics[:2]) >= self.float_from:
            numerics = FLOAT
        if numerics not in self.numerics:
            measured = "; ".join(str(tuple(known)) for known in self.numerics)
            raise SpecError(f"{self.name}: numerics", tuple(numerics), f"one of {measured}, or a lossless crossbar")
        return self.numerics.index(numerics)

    def _column_of_read(self, numerics: Numerics) -> int:
        asked = tuple(getattr(numerics, name) for name in self.read)
        known = [tuple(getattr(one, name) for name in self.read) for one in self.numerics]
        if asked not in known:
            told = "; ".join(map(str, known))
            raise SpecError(f"{self.name}: {', '.join(self.read)}", asked, f"one of {told}")
        return known.index(asked)

    def accuracy(self, numerics: Numerics, *, fidelity: float = 1.0) -> F64:
        """Validation accuracy of every cell, the mean over seeds, (N,)."""
        values: F64 = self.validation[:, :, self._fidelity(fidelity), self.column(numerics)].mean(axis=1)
        return values

    def lookup(self, genotype: npt.NDArray[np.integer], numerics: Numerics, fidelity: float = 1.0) -> Estimate:
        """One network's estimate: the mean over seeds, with a draw a seed.

        Raises
        ------
        SpecError : a cell that is not connected, a fidelity or an arithmetic that was not measured.
        """
        row = int(self.rows(np.asarray(genotype)[None])[0])
        if row < 0:
            raise SpecError(f"{self.name}: cell", self.space.describe(genotype), "connected")
        level, column = self._fidelity(fidelity), self.column(numerics)
        draws, tests = self.validation[row, :, level, column], self.test[row, :, level, column]
        if np.isnan(draws).any():
            raise SpecError(f"{self.name}: {tuple(numerics)}", fidelity, "a fidelity at which it was measured")
        return Estimate.of_accuracy(
            float(draws.mean()),
            float(tests.mean()),
            spread=float(draws.std(ddof=1)) if draws.size > 1 else 0.0,
            draws=tuple(draws.tolist()),
            fidelity=fidelity,
            key=self._key(row, column, level),
            images=self.images,
        )

    @property
    def metrics(self) -> Mapping[str, Better]:
        """Those of an estimate; the test split is reported alone."""
        return {"accuracy": "more", "accuracy_test": "neither"}

    def key(self, request: Request) -> str:
        """The place in the table: networks and arithmetics that are equal have one."""
        row = int(self.rows(np.array([request.genotype], np.int64))[0])
        return self._key(row, self.column(request.numerics), self._fidelity(request.fidelity))

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        """Looked up by genotype, in the order asked; the seed of a request has no say."""
        for position, request in enumerate(requests):
            yield position, self.lookup(np.array(request.genotype, np.int64), request.numerics, request.fidelity)

    def _key(self, row: int, column: int, level: int) -> str:
        return f"{self.name}/{self.cells[row]}/{column}/{level}"

    def _fidelity(self, fidelity: float) -> int:
        close = np.flatnonzero(np.isclose(self.fidelities, fidelity))
        if not close.size:
            raise SpecError(f"{self.name}: fidelity", fidelity, f"one of {self.fidelities}")
        return int(close[0])


def _is_lossless(numerics: Numerics) -> bool:
    needed = lossless_adc_bits(numerics.active_rows, numerics.dac_bits, numerics.cell_bits)
    return numerics.is_ideal and numerics.adc_bits >= int(needed)


# Our own: files of the package.


def write_table(definition: TableDefinition, lines: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """All trainings of a definition as `<name>.npz` beside `<name>.json`, its manifest; returns the former.

    lines : what `codesign.estimate.tabulate.Tabulate` yields, of every training.
    """
    from importlib.metadata import version

    from codesign.data import load

    space, dataset = definition.space(), load(definition.dataset)
    cells = space.representatives
    shape = (len(cells), definition.seeds, len(definition.fidelities))
    right = {split: np.full((*shape, len(definition.numerics)), -1, np.int16) for split in ("validation", "test")}
    seconds, parameters = np.full(shape, np.nan, np.float32), np.zeros(len(cells), np.int32)
    for line in lines:
        row = int(np.searchsorted(cells, line["cell"]))
        level = definition.fidelities.index(line["fidelity"])
        for split, counts in right.items():
            counts[row, line["seed"], level, : len(line[split])] = line[split]
        seconds[row, line["seed"], level] = line["seconds"]
        parameters[row] = line["parameters"]
    path = folder / f"{definition.name}.npz"
    np.savez_compressed(
        path,
        cells=cells.astype(np.int32),
        seconds=seconds,
        parameters=parameters,
        validation=right["validation"],
        test=right["test"],
    )
    manifest = {
        **definition.as_dict(),
        "images": {split: len(getattr(dataset, split).labels) for split in ("train", "validation", "test")},
        "data": dataset.fingerprint,
        "space": space.fingerprint,
        "networks": len(cells),
        "trainings": len(lines),
        "training_seconds": round(float(np.nansum(seconds)), 1),
        "versions": {name: version(name) for name in ("codesign", "numpy", "torch", "scikit-learn")},
    }
    path.with_suffix(".json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path


@lru_cache(maxsize=1)
def digits_cells() -> AccuracyTable:
    """The table that ships: noisy digits, 1,010 connected networks, three seeds, seven arithmetics.

    >>> table = digits_cells()
    >>> round(float(table.accuracy(FLOAT).max()), 2)
    0.82
    """
    definition, folder = DIGITS_CELLS, files("codesign") / "estimate" / "tables"
    manifest = json.loads((folder / f"{definition.name}.json").read_text(encoding="utf-8"))
    if manifest["version"] != definition.version:
        raise SpecError(definition.name, manifest["version"], f"version {definition.version}")
    with (folder / f"{definition.name}.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        columns = {name: archive[name] for name in archive.files}
    shares = {}
    for split in ("validation", "test"):
        counts = columns[split].astype(np.float64)
        shares[split] = np.where(counts < 0, np.nan, counts / manifest["images"][split])
    return AccuracyTable(
        f"{definition.name}-{definition.version}",
        definition.space(),
        columns["cells"].astype(np.int64),
        definition.fidelities,
        definition.numerics,
        shares["validation"],
        shares["test"],
        columns["seconds"].astype(np.float64),
        columns["parameters"].astype(np.int64),
        images=int(manifest["images"]["validation"]),
    )


# The published one: a file of the user's.

_FIDELITIES = (1.0, 12 / 200)


def read_nasbench201(
    path: Path, dataset: str = "cifar10", *, early: Literal["test", "valid"] = "test"
) -> AccuracyTable:
    """Published accuracies of all NAS-Bench-201 cells, from an npz file.

    Parameters
    ----------
    path : arrays `ops` (15625, 6), operations in the order of `OPERATIONS`; `acc200_<dataset>_test` and
        `acc12_<dataset>_test` in percent, and `params`. dataset : cifar10, cifar100 or ImageNet16-120.
    early : the split of the accuracies after 12 epochs.

    Notes
    -----
    The accuracies are of the test split, which is all that is published after 200 epochs: a comparison of strategies
    may use them, a claim of generalisation may not. Cells that are one network to the parameter (5,424 of them) have
    the accuracy of the first; the publication counts 6,466, since it joins fewer. A network at 8 bits and more counts
    as its float one. [Dong and Yang, ICLR 2020]

    Raises
    ------
    SpecError : no such file, an array that is missing, or not all cells.
    """
    columns = read_arrays(path)
    names = [f"acc200_{dataset}_test", f"acc12_{dataset}_{early}"]
    for name in ("ops", "params", *names):
        if name not in columns:
            raise SpecError(f"{path}: {name}", "nothing", "an array", f"there are {', '.join(sorted(columns))}")
    space = CellSpace()
    for name, shape in (("ops", (space.size, 6)), *((name, (space.size,)) for name in ("params", *names))):
        if columns[name].shape != shape or columns[name].dtype.kind not in "iuf":
            raise SpecError(f"{path}: {name}", f"{columns[name].dtype} {columns[name].shape}", f"numbers {shape}")
    numbers = space.number_of(columns["ops"].astype(np.int64))
    if not np.array_equal(np.sort(numbers), np.arange(space.size)):
        raise SpecError(f"{path}: ops", len(numbers), f"each of the {space.size} cells once")
    place = np.argsort(numbers)
    cells = space.representatives
    shares = np.stack([columns[name][place][cells] / 100.0 for name in names], axis=1)[:, None, :, None]
    return AccuracyTable(
        f"nasbench201-{dataset}" + ("" if early == "test" else f"-{early}"),
        space,
        cells,
        _FIDELITIES,
        (FLOAT,),
        shares.astype(np.float64),
        shares.astype(np.float64),
        np.full(shares.shape[:3], np.nan),
        columns["params"][place][cells].astype(np.int64),
        float_from=8,
        images=10_000,  # of the test split, see above
    )
