"""The rules by which `codesign.design` chooses: space, recipe, strategy, and what fits into a budget of time.

Each rule answers with a section of a run file and one sentence that says why, so that the run file of a design can be
read, changed and run again. Numbers here are choices of ours unless a source stands beside them:

space      by what an item is: images of 16 pixels and less are read by chains of convolutions, larger ones by inverted
           residuals; rows of a table by dense layers; sequences and texts by recurrent layers; masks are drawn by
           U-Nets, larger images by networks of the kinds of ESPCN and FSRCNN
bits       8: every device takes them, and one that computes in float alone widens them
recipe     by the task, as in the examples; as many epochs as read 20,000 items, between 4 and 30
strategy   NSGA-II; which networks are trained says a model of their errors, once there are a few
budget     one epoch of a middling and of the largest network is timed; seven tenths of the budget are for trainings

Not modelled: a budget that would be better spent on an estimator that does not train each network.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from codesign.data import Dataset
from codesign.task import Classification, Language, Segmentation, SuperResolution
from hwmodels.errors import SpecError
from hwmodels.units import parse_quantity

__all__ = ["FEWEST_TRAININGS", "Plan", "Rule", "data_section", "duration", "plan", "recipe_of", "space_of"]

_ITEMS = 20_000
_FEWEST, _MOST = 4, 30
_MARGIN = 0.7
FEWEST_TRAININGS, _AMPLE_TRAININGS, _MOST_TRAININGS = 6, 18, 240  # fewer than the ample ones: of fewer epochs
_CHAIN_PIXELS = 16
_BITS = 8
_CLOCK = {"min": 60.0, "h": 3600.0}
_FILES = {".npz": "arrays", ".csv": "table", ".txt": "text"}


class Rule(NamedTuple):
    """What a rule answers: a section of a run file, and why."""

    section: dict[str, Any]
    why: str


class Plan(NamedTuple):
    """What fits into a budget: epochs a training, networks a generation, generations."""

    epochs: int
    trainings: int
    generations: int

    @property
    def total(self) -> int:
        return self.trainings * self.generations


def duration(value: float | str, where: str = "budget") -> float:
    """Seconds of a time; a number is in seconds.

    >>> duration("10 min"), duration("90 s"), duration(30)
    (600.0, 90.0, 30.0)

    Raises
    ------
    SpecError : no time, or none above zero.
    """
    text, scale = str(value).strip(), 1.0
    for unit, seconds in _CLOCK.items():
        if text.endswith(unit):
            text, scale = text.removesuffix(unit).strip(), seconds
            break
    try:
        found = scale * parse_quantity(text, "" if scale > 1 else "s", where=where)
    except SpecError:
        found = float("nan")
    if not 0 < found < float("inf"):
        raise SpecError(where, value, "a time above 0, as 90 s, 10 min or 2 h")
    return found


def data_section(data: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The section `data` of a run file: a name, a file or folder of one's own, or the section itself.

    >>> data_section("digits"), data_section({"name": "text", "length": 32})
    ({'name': 'digits'}, {'name': 'text', 'length': 32})
    """
    if isinstance(data, Mapping):
        return dict(data)
    path = Path(data)
    if path.is_dir():
        return {"name": "folder", "root": str(path)}
    if path.suffix.lower() in _FILES:
        return {"name": _FILES[path.suffix.lower()], "root": str(path)}
    return {"name": str(data)}


def space_of(data: Dataset) -> Rule:
    """The networks for a data set.

    Raises
    ------
    SpecError : items that no space reads.
    """
    shape, task = data.input_shape, data.task
    if isinstance(task, Segmentation):
        halvings = [depth for depth in (1, 2, 3) if shape[1] % 2**depth == 0 and shape[1] >= 2 ** (depth + 2)]
        return Rule({"space": "unet", "depth": halvings or [1], "width": [4, 8, 12, 16], "kernel": [3]}, "masks")
    if isinstance(task, SuperResolution):
        return Rule({"space": "super_resolution", "features": [8, 16, 24], "depth": [0, 1, 2]}, "larger images")
    if isinstance(task, Language) or len(shape) < 3:
        rows: dict[str, Any] = {"space": "recurrent", "cell": ["lstm", "gru"], "depth": [1, 2], "width": [16, 32, 64]}
        return Rule(rows, "a text" if isinstance(task, Language) else "sequences")
    side = min(shape[1:])
    if side == 1:
        rows = {
            "space": "chain",
            "stages": 2,
            "kernel": [1],
            "width": [2, 4, 8, 16, 32],
            "stride": [1],
            "bits": [_BITS],
        }
        return Rule(rows, "rows of a table: 1 x 1 convolutions are dense layers")
    if side <= _CHAIN_PIXELS:
        chain = {"space": "chain", "stages": 3, "kernel": [1, 3, 5], "width": [4, 8, 16, 24, 32], "bits": [_BITS]}
        return Rule(chain, f"images of {side} pixels")
    stem = max(round(side / _CHAIN_PIXELS), 1)  # so that the first block reads some 16 pixels
    return Rule({"space": "mobile", "stem_stride": min(stem, 8)}, f"images of {side} pixels")


def recipe_of(data: Dataset) -> dict[str, Any]:
    """How each network is trained, with the epochs of an ample budget; rates are those of our examples."""
    task, items = data.task, len(data.train.labels)
    epochs = min(max(ceil(_ITEMS / items), _FEWEST), _MOST)
    if isinstance(task, Segmentation):
        return {"epochs": _MOST, "batch_size": 8, "learning_rate": 3e-3}
    if isinstance(task, SuperResolution):
        return {"epochs": 20, "batch_size": 16, "learning_rate": 3e-3}
    if isinstance(task, Language):
        return {"epochs": _FEWEST, "batch_size": 64, "learning_rate": 5e-3}
    if not isinstance(task, Classification):
        return {"epochs": _MOST, "learning_rate": 3e-3, "weight_decay": 1.0}
    return {"epochs": epochs, "batch_size": 32 if items < _ITEMS else 64}


def plan(budget_s: float, epoch_s: float, epochs: int, workers: int) -> Plan:
    """What fits into a budget: fewer epochs where full ones leave too few trainings, never more trainings than help.

    Parameters
    ----------
    epoch_s : of one network. epochs : of a full training.

    Raises
    ------
    SpecError : not even the fewest trainings of half the epochs fit.
    """
    affordable = _MARGIN * budget_s * workers / epoch_s  # epochs of trainings
    used = min(epochs, max(-(-epochs // 2), int(affordable // _AMPLE_TRAININGS)))
    total = min(int(affordable // used), _MOST_TRAININGS)
    if total < FEWEST_TRAININGS:
        least = ceil(FEWEST_TRAININGS * used * epoch_s / (_MARGIN * workers))
        trained = f"{FEWEST_TRAININGS} trainings of {used} epochs at {epoch_s:.2g} s each"
        raise SpecError("budget", f"{budget_s:g} s", f"at least {least} s, which {trained} take")
    a_batch = min(max(round(total**0.5), 3), 8)
    return Plan(used, a_batch, max(total // a_batch, 1))
