"""kill -9 before every single write of a run, then resume: the run is that of an uninterrupted one, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.app.config import parse_config
from codesign.app.run import begin, reopen
from codesign.store import RunStore
from codesign.two_level.loop import run_search
from tests.codesign.kills import kill_everywhere
from tests.codesign.toy_strategies import InnerTrainer
from tests.codesign.toys import toy_search

CONFIG = {
    "seed": 5,
    "generations": 1,
    "architecture": {"space": "chain", "stages": 1, "kernel": [3], "width": [4, 8], "depth": [1], "bits": [8]},
    "hardware": {"device": "rram_edge", "knobs": {"array_rows": [32, 64], "adc_bits": [4, 5, 8], "tiles": [1, 2]}},
    "objectives": ["energy_j", "area_mm2"],
    "fast": {"pairs": 300},
    "slow": {"trainings": 1, "classes": 1},
    "estimator": {"draws": 1, "recipe": {"epochs": 1, "batch_size": 256}},
    "executor": {"name": "serial", "portable": False},
}


def content_of(folder: Path) -> str:
    """Everything of a run that must not depend on when it was killed."""
    store = RunStore.open(folder)
    try:
        pairs = [(g, pair, e.error, e.metrics, e.draws) for g, pair, e in store.pairs()]
        ledgers = [{k: v for k, v in g.ledger.as_dict().items() if k != "seconds"} for g in store.generations()]
        states = [
            {name: value if isinstance(value, str | int) else value.tolist() for name, value in g.strategy.items()}
            for g in store.generations()
        ]
        fast = {name: values.tolist() for name, values in store.read_fast(["reason", "gene_0", "macs"]).items()}
        kept = store._db.execute("SELECT key, payload FROM blobs").fetchall()
        weights = store._db.execute("SELECT key, payload FROM weights ORDER BY key").fetchall()
        return repr((pairs, ledgers, states, fast, kept, weights))
    finally:
        store.close()


def toy(folder: Path) -> None:
    """A search with an inner trainer and its blobs; begun, or gone on with."""
    begun = (folder / "manifest.json").is_file()
    store = RunStore.open(folder) if begun else RunStore.create(folder, {"seed": 3})
    search = toy_search(strategy=InnerTrainer, blobs=store, generations=2, pairs=40, trainings=2, classes=1)
    run_search(search, store)


def real(folder: Path) -> None:
    """A search with trainings, as the command line runs it."""
    begun = (folder / "manifest.json").is_file()
    run = reopen(folder) if begun else begin(parse_config(CONFIG), folder)
    run.go()


@pytest.mark.parametrize("kind", [toy, real], ids=["toy", "real"])
def test_a_run_killed_before_any_of_its_writes_ends_as_the_whole_one(kind, tmp_path: Path) -> None:
    found = kill_everywhere(f"tests.codesign.test_kill_and_resume:{kind.__name__}", tmp_path)
    assert found["killed"] is True
    assert found["not_begun"] == [0]  # the manifest is the first write of all
    assert found["different"] == []
    # Manifest; a file, pairs, generation and commit of each generation; estimates, and weights or blobs.
    assert found["writes"] >= (14 if kind is toy else 7)
