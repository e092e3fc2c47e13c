"""Writes, data statistics, scaling, interconnect and presets: the laws that the kernel's twin does not state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.catalog import device
from hwmodels.evaluate import evaluate
from hwmodels.families.crossbar.devices import CELL_DEVICES
from hwmodels.families.crossbar.gates import chain_adders, tree_adders
from hwmodels.families.crossbar.model import MODEL
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.families.crossbar.static import node_factor
from hwmodels.families.crossbar.statistics import LayerStatistics, input_bit_density, layer_energies_j, mean_level
from hwmodels.numerics import Numerics
from hwmodels.validation.crossbar.silicon import macro_energy_j
from hwmodels.workload.zoo import network

PRESETS = (
    "aimc_cicc_2021", "aimc_isscc_2023_7_8", "colonnade_jssc_2021", "dimc_isscc_2022_15_5", "isaac", "isaac_8bit",
    "jia_jssc_2020", "mnsim_default", "neurosim_default", "puma_like", "rram_edge", "sinangil_jssc_2021",
    "wang_vlsi_2022",
)  # fmt: skip


def changed(name: str, **knobs: Any) -> CrossbarSpec:
    spec = device(name).spec
    assert isinstance(spec, CrossbarSpec)
    return spec.model_copy(update=knobs)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("workload", ["vit_b_16", "bert_base"])
@pytest.mark.parametrize("operands", ["digital", "arrays"])
def test_transformers_run_on_every_preset(name: str, workload: str, operands: Any) -> None:
    """Resident where they fit, else written layer by layer; attention digitally or in written arrays."""
    spec = changed(name, dynamic_operands=operands)
    report = evaluate(network(workload), MODEL, spec)
    if report.infeasible:
        assert report.infeasible == "weights do not fit on the chip"
        report = evaluate(network(workload), MODEL, spec.model_copy(update={"weights": "reloaded"}))
    assert report.infeasible is None
    assert all(np.isfinite(value) for value in report.totals.values())
    assert report.total("energy_j") == pytest.approx(sum(report.breakdown().values()), rel=1e-12)
    layers = report.table.layers
    dynamic = layers.dynamic_operand[report.table.networks.sequence] == 1
    where = {place for place, is_dynamic in zip(report.choice, dynamic, strict=True) if is_dynamic}
    assert where == {"digital" if operands == "digital" else "crossbar"}


def test_what_does_not_fit_is_infeasible_or_reloaded_and_paid_for() -> None:
    small = changed("isaac", tiles=16)
    resident = evaluate(network("resnet18"), MODEL, small)
    assert resident.infeasible == "weights do not fit on the chip"
    reloaded = evaluate(network("resnet18"), MODEL, small.model_copy(update={"weights": "reloaded"}))
    assert reloaded.infeasible is None
    layers, sequence = reloaded.table.layers, reloaded.table.networks.sequence
    weights = int(layers.weight_elements[sequence].sum())
    # 8-bit weights in four cells of 2 bits, and over the link from outside.
    assert reloaded.total("write_j") == pytest.approx(weights * 4 * small.cell_write_j, rel=1e-12)
    links = 8 * weights * small.io_j_per_bit  # beside the static energy
    assert reloaded.total("io_j") - resident.total("io_j") == pytest.approx(links, rel=1e-9)
    assert reloaded.total("latency_s") > resident.total("latency_s")


def test_cells_wear_out() -> None:
    spec = changed("isaac_8bit", dynamic_operands="arrays", cell_device="rram", tiles=400)
    writes = evaluate(network("vit_b_16"), MODEL, spec).total("cell_writes")
    assert writes >= 12  # at least once an encoder
    lifetime = CELL_DEVICES["rram"].endurance_writes / writes
    for batches, reason in ((0.99 * lifetime, None), (1.01 * lifetime, "writes wear the cells out")):
        worn = spec.model_copy(update={"required_batches": batches})
        assert evaluate(network("vit_b_16"), MODEL, worn).infeasible == reason
    digital = spec.model_copy(update={"dynamic_operands": "digital", "required_batches": 1e300})
    assert evaluate(network("vit_b_16"), MODEL, digital).infeasible is None


def test_packing_saves_arrays_of_depthwise_layers() -> None:
    plain = evaluate(network("mobilenet_v2"), MODEL, changed("isaac_8bit"))
    packed = evaluate(network("mobilenet_v2"), MODEL, changed("isaac_8bit", packing="block_diagonal"))
    assert packed.total("arrays") < 0.2 * plain.total("arrays")
    assert packed.total("cells") == plain.total("cells")
    assert packed.total("conversions") == plain.total("conversions")


def test_idle_tiles_leak_by_their_share() -> None:
    leaks = [
        evaluate(network("resnet18"), MODEL, changed("isaac", idle_leakage_share=share)).total("leakage_j")
        for share in (0.0, 0.5, 1.0)
    ]
    assert leaks[0] < leaks[1] < leaks[2]
    assert leaks[1] == pytest.approx((leaks[0] + leaks[2]) / 2, rel=1e-12)


def test_a_pipeline_leaks_for_an_interval() -> None:
    """Of the tiles with weights whole, of the others their share; without gating, of all."""
    for share in (0.0, 0.3, 1.0):
        report = evaluate(network("resnet18"), MODEL, changed("isaac", idle_leakage_share=share))
        at_work = report.total("arrays") / (168 * 12 * 8)
        leaking = report.total("leakage_w") * report.total("interval_s") * (at_work + (1 - at_work) * share)
        assert report.total("dynamic_j") == report.total("energy_j") - report.total("leakage_j")
        assert report.total("pipeline_energy_j") == pytest.approx(report.total("dynamic_j") + leaking, rel=1e-12)
    assert report.total("pipeline_energy_j") < report.total("energy_j")


def test_parts_leak_by_area_and_kind_of_cell() -> None:
    """Twice the tiles leak twice; SRAM cells leak, resistive ones do not; a share of peak power is another rule."""
    base = changed("isaac", io_mm2=0.0)
    watt = {
        name: float(MODEL.config_metrics(CrossbarSpec.to_table([base.model_copy(update=knobs)]))["leakage_w"][0])
        for name, knobs in {
            "base": {}, "tiles": {"tiles": 336}, "hot": {"leakage_scale": 30.0}, "hp": {"roadmap": "hp"},
            "rram": {"cell_device": "rram"}, "sram": {"cell_device": "sram_6t"},
            "fraction": {"static_power": "fraction"},
        }.items()
    }  # fmt: skip
    assert watt["tiles"] == pytest.approx(2 * watt["base"], rel=1e-12)
    assert watt["hot"] == pytest.approx(30 * watt["base"], rel=1e-12)
    assert watt["hp"] == pytest.approx(1000 * watt["base"], rel=1e-12)
    assert watt["rram"] == watt["base"]
    cells = 168 * 12 * 8 * 128 * 128
    assert watt["sram"] - watt["base"] == pytest.approx(cells * 6.8e-12 * float(node_factor(32)), rel=1e-9)
    peak = MODEL.config_metrics(CrossbarSpec.to_table([base]))["peak_power_w"][0]
    assert watt["fraction"] == pytest.approx(0.02 * peak, rel=1e-12)


def test_reloaded_layers_take_turns_and_are_no_pipeline() -> None:
    """Resident: a batch every slowest layer. Reloaded into the same arrays: a batch after the other."""
    resident = evaluate(network("resnet18"), MODEL, changed("isaac"))
    assert resident.items_per_s == pytest.approx(1 / resident.layers["stage_s"].max())
    turns = evaluate(network("resnet18"), MODEL, changed("isaac", weights="reloaded", tiles=2))
    assert turns.infeasible is None
    assert turns.items_per_s == pytest.approx(1 / turns.total("latency_s"))
    assert turns.total("pipeline_energy_j") == pytest.approx(turns.total("energy_j"), rel=1e-12)


def test_htree_and_mesh_differ_in_the_way_to_the_next_layer() -> None:
    """Four tiles of one area: the tree's path is pitch x 2 x (1 - 1/2)."""
    tree = changed("isaac", interconnect="htree", tiles=4, io_mm2=0.0, leakage_fraction=0.0)
    free = tree.model_copy(update={"wire_j_per_bit_mm": 0.0})
    net = network("lenet5")
    spent = [evaluate(net, MODEL, spec).total("interconnect_j") for spec in (tree, free)]
    report = evaluate(net, MODEL, tree)
    outputs = sum(
        int(report.table.layers.output_elements[row]) * min(int(report.table.layers.activation_bits[row]), 16)
        for row in report.table.networks.sequence
    )
    pitch_mm = (report.total("area_mm2") / 4) ** 0.5
    assert spent[0] - spent[1] == pytest.approx(outputs * pitch_mm * tree.wire_j_per_bit_mm, rel=1e-9)


@given(
    st.lists(st.floats(0, 1), min_size=16, max_size=16).filter(lambda counts: sum(counts) > 0),
    st.lists(st.floats(0, 1), min_size=16, max_size=16).filter(lambda counts: sum(counts) > 0),
    st.sampled_from([1, 2, 3, 4]), st.sampled_from(["offset", "differential"]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_two_means_equal_the_expectation_over_both_histograms(
    inputs: list[float], weights: list[float], cell_bits: int, scheme: str
) -> None:
    """E over independent codes of the mean product of digits, summed code by code, is the product of the two means."""
    p, q = np.array(inputs) / sum(inputs), np.array(weights) / sum(weights)
    slices = -(-4 // cell_bits)
    expected = 0.0
    for x in range(16):
        for w in range(-8, 8):
            stored = [abs(w) if w > 0 else 0, abs(w) if w < 0 else 0] if scheme == "differential" else [w + 8]
            for bit in range(4):
                for column in stored:
                    for slice_ in range(slices):
                        level = (column >> (slice_ * cell_bits)) & (2**cell_bits - 1)
                        expected += p[x] * q[w + 8] * (x >> bit & 1) * level / (2**cell_bits - 1)
    expected /= 4 * slices * (2 if scheme == "differential" else 1)
    means = input_bit_density(inputs) * mean_level(weights, cell_bits=cell_bits, sign_scheme=scheme)
    assert means == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_a_layers_statistics_change_its_energy_alone() -> None:
    net, spec = network("lenet5"), changed("isaac")
    names = [node.name for node, row in net.rows() if row.macs]
    plain = layer_energies_j(net, spec, {})
    sparse = layer_energies_j(net, spec, {names[1]: LayerStatistics(0.1, 0.5)})
    position = [node.name for node, _ in net.rows()].index(names[1])
    assert sparse[position] < plain[position]
    np.testing.assert_array_equal(np.delete(sparse, position), np.delete(plain, position))
    assert plain.sum() == pytest.approx(evaluate(net, MODEL, spec).total("energy_j"), rel=1e-12)
    with pytest.raises(KeyError):
        layer_energies_j(net, spec, {"no such layer": LayerStatistics(0.1, 0.5)})


@pytest.mark.parametrize(("merge_slices", "bits"), [(False, 9), (True, 23)])
def test_lossless_bits_are_derived(merge_slices: bool, bits: int) -> None:
    """[ISAAC] 9 bits of 128 rows of 2-bit cells; a merged 16-bit weight sums to 128 (2^16 - 1) < 2^23."""
    derived = CrossbarSpec(adc_bits=0, merge_slices=merge_slices)
    assert derived.numerics().adc_bits == bits
    if bits <= 14:
        stated = derived.model_copy(update={"adc_bits": bits})
        assert evaluate(network("lenet5"), MODEL, derived).totals == evaluate(network("lenet5"), MODEL, stated).totals


@pytest.mark.parametrize("name", ["dimc_isscc_2022_15_5", "colonnade_jssc_2021"])
def test_digital_macros_read_without_loss(name: str) -> None:
    spec = changed(name)
    assert spec.numerics() == Numerics(spec.weight_bits, spec.activation_bits)


@pytest.mark.parametrize("name", ["wang_vlsi_2022", "dimc_isscc_2022_15_5", "jia_jssc_2020"])
def test_macros_of_gates_go_with_the_supply_squared(name: str) -> None:
    bits = {"weight_bits": 1, "activation_bits": 1}
    low, high = (macro_energy_j(changed(name, supply_v=volt), **bits) for volt in (0.5, 1.0))
    assert high == pytest.approx(4 * low, rel=1e-12)


@given(st.integers(1, 7), st.integers(1, 16))
def test_tree_counts_every_adder(log_inputs: int, bits: int) -> None:
    """2^(L - l) ripple adders of p + l - 1 full adders at level l of a tree; a chain adds in every row."""
    counted = sum(2 ** (log_inputs - level) * (bits + level - 1) for level in range(1, log_inputs + 1))
    assert float(tree_adders(2**log_inputs, bits)) == counted
    assert float(chain_adders(2**log_inputs, bits)) == sum(bits + log_inputs for _ in range(2**log_inputs))


@pytest.mark.parametrize("cell", [*CELL_DEVICES])
def test_a_device_sets_its_cell(cell: Any) -> None:
    named = changed("isaac", cell_device=cell, weights="reloaded")
    area, write_j, row_s, endurance = CELL_DEVICES[cell]
    custom = named.model_copy(
        update={
            "cell_device": "custom",
            "cell_area_f2": area,
            "cell_write_j": write_j,
            "row_write_s": row_s,
            "endurance_writes": endurance,
        }
    )
    by_name, by_hand = (evaluate(network("lenet5"), MODEL, spec).totals for spec in (named, custom))
    assert by_name == by_hand
    assert by_name["area_mm2"] != evaluate(network("lenet5"), MODEL, changed("isaac")).total("area_mm2")
