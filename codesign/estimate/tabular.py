"""Tables as the estimator of a run: accuracies and scores that others trained, and nothing is trained here.

`digits-cells` ships with the package. What others published is read from the reference folder, which
`codesign search --reference FOLDER`, the variable CODESIGN_REFERENCE or `path` names, or from a file of one's own::

    estimator: {name: table, table: nasbench201, dataset: cifar100}
    estimator: {name: table, table: nasbench201-analog, column: analog_drift_86400}
    estimator: {name: table, table: nasbench201-darcy}

`nasbench201` has two fidelities, 1 (200 epochs) and 0.06 (12 epochs), and three data sets, as far as the file has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from codesign.estimate.published_cells import CELLS_FILE, PublishedCells, read_published_cells, reference_file
from codesign.estimate.table import DIGITS_CELLS, AccuracyTable, digits_cells, read_nasbench201
from codesign.registry import Plugin, Settings
from codesign.space.cell import CellSpace
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.space.architecture import ArchitectureSpace
    from codesign.strategy.base import Problem

__all__ = ["PLUGIN", "TableSettings"]


class TableSettings(Settings):
    """Accuracies are looked up, and nothing is trained."""

    table: Literal["digits-cells", "nasbench201", "nasbench201-analog", "nasbench201-darcy"] = Field(
        "digits-cells", description="ours, or a published one"
    )
    path: Path | None = Field(None, description="reference folder, or npz file of nasbench201; digits-cells ships")
    dataset: Literal["cifar10", "cifar100", "ImageNet16-120"] = Field("cifar10", description="of nasbench201")
    early: Literal["test", "valid"] = Field("test", description="split of nasbench201's accuracies after 12 epochs")
    column: str | None = Field(None, description="of nasbench201-analog: another arithmetic or time than analog")


def _make(settings: TableSettings, problem: Problem) -> AccuracyTable | PublishedCells:
    """The table, if it holds the networks of the run.

    Raises
    ------
    SpecError : a path that is missing or not needed, or networks or images other than those of the table.
    """
    space = problem.joint.architecture
    if settings.table == "digits-cells":
        if settings.path is not None:
            raise SpecError("estimator.path", settings.path, "needed: digits-cells ships with the package")
        if problem.data is not None and problem.data.name != DIGITS_CELLS.dataset:
            raise SpecError("data.name", problem.data.name, f"{DIGITS_CELLS.dataset}, which digits-cells was made from")
        return _holding(digits_cells(), space)
    if settings.table == "nasbench201":
        path = reference_file(settings.path, CELLS_FILE)
        return _holding(read_nasbench201(path, settings.dataset, early=settings.early), space)
    scores = read_published_cells(settings.path, settings.table, settings.column)
    if not _has_cells_of(space, scores.space):
        raise _other_networks(space, scores.name, scores.space)
    return scores


def _holding(table: AccuracyTable, space: ArchitectureSpace) -> AccuracyTable:
    own = table.space
    if not isinstance(own, CellSpace):
        raise SpecError("estimator.table", table.name, "a table of cells that are trained in one way")
    if not isinstance(space, CellSpace) or space.at(own.precision).fingerprint != own.fingerprint:
        raise _other_networks(space, table.name, own)
    return table


def _has_cells_of(space: ArchitectureSpace, own: CellSpace) -> bool:
    """Whether networks are those of a table but for the image: its scores are of another task than the space's."""
    skeleton = [(one.channels, one.cells, one.stages, one.genes) for one in (space, own) if isinstance(one, CellSpace)]
    return len(skeleton) == 2 and skeleton[0] == skeleton[1]


def _other_networks(space: ArchitectureSpace, name: str, own: CellSpace) -> SpecError:
    described = f"cells of {own.channels} channels, {own.cells} a stage, {own.stages} stages"
    operations, shape = ", ".join(own.genes[0].choices), "x".join(map(str, own.image))
    told = f"what {name} holds: {described}, of {operations}, for {own.classes} classes of {shape} images"
    return SpecError("architecture", type(space).__name__, told)


PLUGIN = Plugin(TableSettings, _make, "accuracies of a table of cells trained beforehand: nothing is trained")
