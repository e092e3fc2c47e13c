"""Pictures of a network: what stands on the axes is what the network has."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.report.network import (
    figure_of,
    layer_records,
    plot_graph,
    plot_layer_macs,
    plot_layer_parameters,
    plot_live_memory,
    profile_of,
    summary_record,
)
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.zoo import network


def test_a_profile_has_one_entry_an_executed_layer() -> None:
    workload = network("resnet18")
    profile = profile_of(workload)
    assert len(profile.rows) == len(profile.names) == len(profile.live_bytes) == len(profile.kinds)
    assert sum(row.macs for row in profile.rows) == workload.macs
    assert profile.live_bytes.max() == summary_record(workload)["peak_activation_bytes"]


def test_kinds_tell_depthwise_from_other_convolutions() -> None:
    kinds = set(profile_of(network("mobilenet_v2")).kinds)
    assert {"conv", "depthwise", "linear", "norm"} <= kinds


def test_bars_are_the_layers_macs_and_bytes() -> None:
    profile = profile_of(rewrite(network("resnet18"), COMPILED))
    macs = [bar.get_height() for bar in plot_layer_macs(profile).patches]
    assert sum(macs) * 1e6 == pytest.approx(sum(row.macs for row in profile.rows))
    stored = plot_layer_parameters(profile)
    assert sum(bar.get_height() for bar in stored.patches) * 1e6 == pytest.approx(11_689_512 - 4800)
    assert "(MB)" in stored.get_ylabel()


def test_the_peak_is_marked_and_named() -> None:
    profile = profile_of(network("resnet18"))
    ax = plot_live_memory(profile)
    marked = ax.lines[-1]
    top = int(profile.live_bytes.argmax())
    assert marked.get_xdata()[0] == top
    assert profile.names[top] in str(marked.get_label())
    assert np.max(ax.lines[0].get_ydata()) == marked.get_ydata()[0]


def test_the_graph_has_a_box_an_operator_and_an_arrow_a_tensor() -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    workload = rewrite(network("resnet18"), COMPILED)
    patches = plot_graph(workload).patches
    rows = [row for _, row in workload.rows()]
    assert sum(isinstance(patch, FancyBboxPatch) for patch in patches) == len(rows)
    # A chain has one arrow less than boxes; each of eight residual sums adds one.
    assert sum(isinstance(patch, FancyArrowPatch) for patch in patches) == len(rows) - 1 + 8


@pytest.mark.parametrize("view", ["profile", "graph"])
@pytest.mark.parametrize("name", ["resnet18", "gpt2_decode", "lstm_layer"])
def test_figures_say_which_network_they_show(view: str, name: str) -> None:
    figure = figure_of(network(name), view=view)
    assert figure.axes[0].get_title().startswith(f"{name}: ")


def test_records_of_layers_add_up_to_the_summary() -> None:
    workload = network("mobilenet_v2", batch=2)
    records, summary = layer_records(workload), summary_record(workload)
    assert sum(record["macs"] for record in records) == summary["macs"] == sum(k["macs"] for k in summary["kinds"])
    assert sum(record["parameters"] for record in records) == summary["params"]
    assert sum(kind["layers"] for kind in summary["kinds"]) == len(records)
    assert summary["batch"] == 2
