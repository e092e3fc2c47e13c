"""The found network leaves the tool: one pair of a front as files that others read, and a script that scores it.

Layout of the folder::

    state.pt      trained parameters and statistics, a `state_dict` that torch loads with weights_only=True
    network.onnx  the trained network in float32, any batch size
    device.yaml   the hardware of the pair as a device file, where the run has hardware
    pair.json     genotype, numerics, costs and metrics of the pair, and the configuration that gives them a meaning
    score.py      loads the network and scores it as the search did

The score of an export is the archive's to the last bit: the weights are those of the run, and the estimator that
scored them then scores them again under the numerics of the pair.

Not here: a quantised ONNX file. `network.onnx` holds the float weights; the numerics of `pair.json` say which bits the
accuracy was measured at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from codesign.app.config import RunConfig, parse_config
from codesign.app.trained import pin, trained_run
from codesign.estimate.base import Estimate, MemoryWeights, Request, Trainer
from codesign.report.summary import open_store, summarise
from codesign.run_rows import EvaluatedPair, TrainedNetwork
from codesign.space.hardware import DEVICE
from codesign.space.joint import JointSpace
from codesign.store import RunStore, check_run_folder, checked_manifest
from codesign.two_level.slow import AccuracyClass
from hwmodels.catalog import device, device_template
from hwmodels.documents import read_text
from hwmodels.errors import SpecError
from hwmodels.files import finite_or_null, make_folder, strict_json, write_text
from hwmodels.numerics import Numerics

if TYPE_CHECKING:
    from codesign.network.module import Network

__all__ = ["Export", "Score", "export_pair", "open_export", "score_export"]

_STATE = "state.pt"
_SCRIPT = '''"""Load the exported network and score it as the search did: the metrics equal those of pair.json."""

from pathlib import Path

from codesign.app.export import open_export, score_export

folder = Path(__file__).parent
found = score_export(folder)
for name, value in found.metrics.items():
    print(f"{name} {value:.6g} (the search: {found.archived[name]:.6g})")
network = open_export(folder).network()  # a torch module in evaluation mode: network(images) are its outputs
print(f"{sum(weights.numel() for weights in network.parameters()):,} parameters")
'''


class Score(NamedTuple):
    """Metrics of an exported network, scored now, and as the run had them."""

    metrics: Mapping[str, float]
    archived: Mapping[str, float]


class _Meaning(NamedTuple):
    """What a genotype and numerics stand for: the configuration's space, estimator and request."""

    space: JointSpace
    estimator: Trainer
    request: Request


class Export(NamedTuple):
    """The content of an export's folder. record : pair.json. meaning : what it says, made."""

    folder: Path
    record: dict[str, Any]
    meaning: _Meaning

    def network(self) -> Network:
        """The trained network as a torch module, in evaluation mode."""
        from codesign.estimate.train import restore

        return restore(self.meaning.request.workload, _state(self.folder))


def export_pair(run: Path, number: int | None, output: Path) -> Export:
    """Write one pair of a run's front into a new folder.

    Parameters
    ----------
    number : row of the front, from 1, as its tables count; the knee where it is None.

    Raises
    ------
    SpecError : no such run or row, a run that trained nothing, an occupied folder; nothing is written then.
    """
    check_run_folder(output)
    store = open_store(run)
    manifest = checked_manifest(store)
    config = parse_config(manifest["config"], where=str(run / "manifest.json"))
    pin(manifest)
    stored, estimate = _row(store, number)
    meaning = _meaning(config, stored, store.parents())
    if meaning.estimator.key(meaning.request) != stored.estimate:  # type: ignore[attr-defined]
        raise SpecError(str(run), "trained by another version", "of this version: its accuracies are of other keys")
    payload = store.get(meaning.estimator.training_key(meaning.request))
    if payload is None:
        raise SpecError(str(run / "run.sqlite"), "without the weights of this pair", "whole")
    record = _record(manifest, stored, estimate)
    make_folder(output)
    export = Export(output, record, meaning)
    _write(export, config, payload)
    return export


def open_export(folder: Path) -> Export:
    """An export as `export_pair` wrote it.

    Raises
    ------
    SpecError : no export there, or a pair.json that says nothing this version understands.
    """
    path = folder / "pair.json"
    if not path.is_file():
        raise SpecError("export", folder, "a folder with a pair.json")
    try:
        record = json.loads(read_text(path))
        pair = EvaluatedPair(
            tuple(map(int, record["genotype"])),
            tuple(float(record["numerics"][name]) for name in Numerics._fields),
            str(record["estimate"]),
            {},
            float(record["fidelity"]),
        )
        content = record["config"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SpecError(str(path), "the pair", "as the export wrote it", f"{type(error).__name__}: {error}") from None
    pin(record)
    return Export(folder, record, _meaning(parse_config(content, where=str(path)), pair))


def score_export(folder: Path) -> Score:
    """Score an export with the estimator of its run, under the numerics of its pair.

    Raises
    ------
    SpecError : no export there, or data that is not the run's.
    """
    export = open_export(folder)  # pins the instruction set: before torch is loaded

    from codesign.estimate.train import pack

    request, estimator = export.meaning.request, export.meaning.estimator
    weights = MemoryWeights()
    weights.put(estimator.training_key(request), pack(_state(folder)), 0.0)
    estimator.weights = weights  # type: ignore[assignment]
    ((_, estimate),) = estimator.estimate([request])  # type: ignore[attr-defined]
    return Score(estimate.metrics, export.record["metrics"])


def _row(store: RunStore, number: int | None) -> tuple[EvaluatedPair, Estimate]:
    """A row of the front as the store has it."""
    summary = summarise(store)
    count = len(summary.front)
    if not count:
        raise SpecError("--pair", number, "a row of the front, which is empty")
    chosen = (summary.knee or 0) + 1 if number is None else number
    if not 1 <= chosen <= count:
        raise SpecError("--pair", chosen, f"in [1, {count}], the rows of the front")
    wanted = summary.front[chosen - 1]
    fidelity = max(pair.fidelity for _, pair, _ in store.pairs() if pair.genotype == wanted.genotype)
    return next(
        (pair, estimate)
        for _, pair, estimate in store.pairs()
        if pair.genotype == wanted.genotype and pair.fidelity == fidelity
    )


def _meaning(
    config: RunConfig, pair: EvaluatedPair, parents: Mapping[TrainedNetwork, TrainedNetwork] = MappingProxyType({})
) -> _Meaning:
    """The request that a pair answers.

    parents : trainings that its own starts from, which its key depends on and its score does not.

    Raises
    ------
    SpecError : an estimator that does not train, a genotype outside the space.
    """
    _, space, estimator, slow = trained_run(config)
    genotype = np.array([pair.genotype], np.int64)
    if genotype.shape[1] != space.n_genes or not space.valid(genotype).all():
        raise SpecError("genotype", list(pair.genotype), "a point of the space of the configuration")
    architecture = space.architecture.canonical(space.split(genotype)[0])[0]
    slow.parents.update(parents)
    known = AccuracyClass(tuple(architecture.tolist()), pair.numerics, pair.fidelity)
    return _Meaning(space, estimator, slow.request(known))


def _record(manifest: Mapping[str, Any], pair: EvaluatedPair, estimate: Estimate) -> dict[str, Any]:
    return {
        "genotype": list(pair.genotype),
        "numerics": dict(zip(Numerics._fields, pair.numerics, strict=True)),
        "fidelity": pair.fidelity,
        "metrics": finite_or_null(dict(estimate.metrics)),
        "costs": finite_or_null(pair.costs),
        "estimate": pair.estimate,
        "config": manifest["config"],
        "executor": manifest.get("executor", {}),
        "versions": manifest["versions"],
    }


def _write(export: Export, config: RunConfig, payload: bytes) -> None:
    from codesign.estimate.train import restore, unpack
    from codesign.network.files import write_onnx, write_state

    folder = export.folder
    network = restore(export.meaning.request.workload, unpack(payload))
    write_state(network, folder / _STATE)
    write_onnx(network, folder / "network.onnx")
    if config.hardware is not None:
        write_text(folder / "device.yaml", _device(export))
    write_text(folder / "score.py", _SCRIPT)
    write_text(folder / "pair.json", strict_json(export.record) + "\n")


def _state(folder: Path) -> Mapping[str, Any]:
    from codesign.network.files import read_state

    return read_state(folder / _STATE)


def _device(export: Export) -> str:
    """The design of the pair as a device file; what the search chose says so."""
    hardware = export.meaning.space.hardware
    genotype = np.array(export.record["genotype"][export.meaning.space.architecture.n_genes :], np.int64)
    chosen = hardware.decode(genotype)
    configured = export.record["config"]["hardware"]["device"]
    base = device(chosen.get(DEVICE, configured if isinstance(configured, str) else configured[0]))
    sources = {**base.sources, **{name: "chosen by the search" for name in chosen if name != DEVICE}}
    made = replace(base, spec=hardware.spec(genotype), sources=sources)
    return device_template(made, name=f"{base.name}_found")
