"""Networks on GPUs: how published runs are opened, and what shipped runtimes are worth on them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hwmodels.families.base import family
from hwmodels.validate import ReferenceTables, Score, open_tables
from hwmodels.validation.block_spaces import fbnet_space
from hwmodels.validation.few_shot import predicted
from hwmodels.validation.gpu import examples
from hwmodels.validation.gpu.language import as_eager, neusight_scores
from hwmodels.validation.gpu.networks import Group, batched, frozen, machine, written_out
from hwmodels.validation.gpu.phones import phone_layer
from hwmodels.validation.gpu.pictures import picture_scores
from hwmodels.validation.gpu.vision import joined_pointwise
from hwmodels.validation.layer_lists import count_networks
from hwmodels.validation.spaces import Counted, nasbench201_space
from hwmodels.workload.from_hf_config import from_hf_config
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, Elementwise, Kind, MatMul, Norm, Precision, Row, View
from hwmodels.workload.rewrite import EAGER, rewrite
from hwmodels.workload.zoo import network

FULL = Precision(32, 32)
FEATURE = {"Input_channel": 16, "Input_shape": 28, "Output_shape": 14, "Stride": 2, "Group": "NA"}


def counted(workload: Workload) -> Counted:
    return count_networks([tuple(row for _, row in workload.rows())])


def rows_in(workload: Workload) -> Counter[Row]:
    return Counter(row for _, row in workload.rows())


def counter_of(found: Counted, index: int = 0) -> Counter[Row]:
    return Counter({found.layers.row(i): int(n) for i, n in enumerate(found.counts[index]) if n})


def test_networks_of_a_batch_are_those_that_the_zoo_builds() -> None:
    one, many = (rewrite(network("resnet18", batch=batch, precision=FULL), EAGER) for batch in (1, 32))
    assert counter_of(batched(counted(one), 32)) == rows_in(many)


def test_hard_swish_is_four_kernels_and_hard_sigmoid_three() -> None:
    elements = {"hardswish": 4, "hardsigmoid": 3, "relu": 1}
    for name, kernels in elements.items():
        net = Builder(name, (1, 8, 4, 4), precision=FULL)
        found = written_out(counted(net.finish(net.add(Activation(name), net.input))))
        assert found.counts.sum() == kernels
        assert found.counts[0] @ found.layers.output_elements == kernels * 128
    net = Builder("swish", (1, 8, 4, 4), precision=FULL)
    found = counter_of(written_out(counted(net.finish(net.add(Activation("hardswish"), net.input)))))
    # Two passes by a number, one clamp, and one product of two tensors.
    assert sorted((row.vector_ops, row.input_elements, times) for row, times in found.items()) == [
        (128, 128, 2), (128, 256, 1), (256, 128, 1),
    ]  # fmt: skip


def test_pointwise_chains_are_one_pass_and_what_others_read_stays() -> None:
    net = Builder("chain", (1, 8, 4, 4), precision=FULL)
    normed = net.add(Norm("batch"), net.add(Conv2d.square(8, 3), net.input))
    taken = net.add(Activation("relu"), normed)
    product = net.add(Elementwise("mul"), net.add(Activation("sigmoid"), taken), taken)
    found = joined_pointwise(net.finish(net.add(Activation("relu"), product)))
    ran = [row.kind for _, row in found.rows()]
    # The norm joins the relu behind it, and the sigmoid the product; the relu has two readers, the product two inputs.
    assert ran == [Kind.CONV, Kind.ACTIVATION, Kind.ELEMENTWISE, Kind.ACTIVATION]
    assert isinstance(found[normed].operator, View)


def eager_bert(tokens: int = 16, *, has_dropout: bool = False, gelu_passes: int = 1) -> tuple[Workload, Workload]:
    config = {"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
              "intermediate_size": 128}  # fmt: skip
    net = rewrite(from_hf_config(config, batch=2, tokens=tokens, precision=FULL), EAGER)
    return net, as_eager(net, gelu_passes=gelu_passes, has_dropout=has_dropout)


def kinds(workload: Workload) -> Counter[int]:
    return Counter(row.kind for _, row in workload.rows())


def test_eager_transformers_scale_mask_and_copy() -> None:
    net, eager = eager_bert()
    more = kinds(eager) - kinds(net)
    # A layer: two passes before its softmax; its merged heads and the operands of two products are copied.
    products = sum(isinstance(node.operator, MatMul) for node in net)
    assert products == 4
    assert more[Kind.ELEMENTWISE] == 2 * 2
    assert more[Kind.COPY] in range(2 * 3, 2 * 5 + 1)
    assert eager.macs == net.macs
    _, long = eager_bert(gelu_passes=8)
    assert (kinds(long) - kinds(eager))[Kind.ELEMENTWISE] == 2 * 8
    assert (kinds(eager) - kinds(long))[Kind.ACTIVATION] == 2


def test_dropout_follows_every_softmax_and_both_halves_of_a_layer() -> None:
    _, eager = eager_bert()
    _, dropped = eager_bert(has_dropout=True)
    masks = [node for node in dropped if node.name.endswith(".dropout")]
    assert len(masks) == 2 * 3
    assert (kinds(dropped) - kinds(eager)) == {Kind.ELEMENTWISE: 6}


def test_a_listed_layer_of_a_phone_is_the_row_of_the_operator() -> None:
    net = Builder("one", (1, 16, 28, 28), precision=Precision(16, 16))
    ((_, dense),) = net.finish(net.add(Conv2d.square(32, 3, stride=2, padding=1), net.input)).rows()
    feature = {**FEATURE, "Kernel": 3, "Filter": 32}
    found = phone_layer("CONV_2D", feature)
    assert found is not None
    same = ("kind", "macs", "m", "n", "k", "weight_elements", "input_elements", "output_elements", "groups")
    assert [getattr(found, name) for name in same] == [getattr(dense, name) for name in same]
    deep = phone_layer("DEPTHWISE_CONV_2D", feature | {"Filter": 1})
    assert deep is not None
    assert (deep.groups, deep.n, deep.k, deep.macs) == (16, 1, 9, 16 * 9 * 14 * 14)
    assert phone_layer("SOFTMAX", feature) is None


def test_pools_and_copies_of_a_phone() -> None:
    feature = {**FEATURE, "Kernel": 2, "Filter": 24}
    pool, mean, copy = (phone_layer(name, feature) for name in ("MAX_POOL_2D", "MEAN", "CONCATENATION"))
    assert pool is not None and mean is not None and copy is not None  # noqa: PT018
    assert (pool.vector_ops, pool.output_elements) == (4 * 16 * 14**2, 16 * 14**2)
    assert (mean.vector_ops, mean.output_elements) == (16 * 28**2, 16)
    assert (copy.macs, copy.output_elements) == (0, 24 * 28**2)


def test_a_frozen_score_is_that_of_the_prediction() -> None:
    """Networks that take just what the model says have no error; twice that is an error of a half."""
    spec = machine("gtx_1080_ti", "torch_2020")
    assert spec is not None
    arch = np.random.default_rng(0).integers(0, 7, (20, 22))
    networks = fbnet_space(arch, "eager")
    own = predicted(family("gpu"), spec, networks)
    for factor, error in ((1.0, 0.0), (2.0, 50.0)):
        group = Group("set", "group", spec, networks, own * factor, 20, {}, "nothing")
        by_metric = {score.metric: score for score in frozen(group)}
        assert by_metric["median_error"].value == pytest.approx(error, abs=1e-9)
        assert by_metric["spearman"].value == pytest.approx(1.0)
        assert by_metric["spearman"].rows == 20


def test_a_machine_that_the_catalogue_lacks_is_none() -> None:
    assert machine("voodoo_2", "torch_2020") is None
    assert machine("epyc_zen3_2vcpu", "torch_2020") is None


def test_published_orders() -> None:
    """What ships is in the published order, but for specialised networks on the Xeon."""
    scores = {(score.set, score.group): score for score in picture_scores(ReferenceTables(None))}

    def share(name: str, group: str) -> float:
        ((_, score),) = [(key, one) for key, one in scores.items() if key == (name, group) and one.metric != "mape"]
        return score.value

    assert share("proxylessnas_specialised", "v100") == 1.0
    assert share("proxylessnas_specialised", "pixel1") == 1.0
    assert share("moga_inversion", "gpu (adreno_630)") == 1.0
    assert share("moga_inversion", "cpu (pixel3)") == 1.0


def test_wide_early_layers_train_faster_though_they_compute_more() -> None:
    found = [score for score in picture_scores(ReferenceTables(None)) if score.set == "efficientnetv2_fused"]
    values = {score.metric: score for score in found}
    assert values["exact_fraction"].value >= 5 / 6
    assert values["exact_fraction"].baseline is not None
    assert values["exact_fraction"].baseline["MACs"] < 0.5
    assert values["mape"].value < 15


# Reference tables.


def space_group(name: str, column: str, chosen: str, batch: int) -> Group:
    tables = open_tables()
    path = tables.path(f"nas/{name}_latency_ms.npz")
    if path is None:
        pytest.skip("CODESIGN_REFERENCE is not set or lacks the file")
    with np.load(path) as content:
        measured = content[column].astype(np.float64)[::16] * 1e-3
        if name == "nb201":
            cells = tables.path("nas/nb201_arch.npz")
            assert cells is not None
            with np.load(cells) as arch:
                networks = nasbench201_space(arch["ops"][::16], "eager")
        else:
            networks = fbnet_space(content["arch"][::16], "eager")
    spec = machine(chosen, "torch_2020")
    assert spec is not None
    kept = ~np.isnan(measured)
    networks = batched(Counted(networks.layers, networks.counts[kept]), batch)
    return Group(name, column, spec, networks, measured[kept], kept.size, {}, "")


@pytest.mark.parametrize(
    ("name", "column", "chosen", "batch", "rank", "error"),
    [
        ("nb201", "1080ti_1", "gtx_1080_ti", 1, 0.97, 15), ("nb201", "1080ti_256", "gtx_1080_ti", 256, 0.985, 15),
        ("nb201", "titanxp_32", "titan_xp", 32, 0.97, 10), ("nb201", "2080ti_32", "rtx_2080_ti", 32, 0.97, 20),
        ("fbnet5000", "2080ti_1", "rtx_2080_ti", 1, 0.94, 25), ("fbnet5000", "1080ti_64", "gtx_1080_ti", 64, 0.87, 15),
    ],
)  # fmt: skip
def test_spaces_on_gpus_that_no_number_was_fitted_on(
    name: str, column: str, chosen: str, batch: int, rank: float, error: float
) -> None:
    by_metric = {score.metric: score for score in frozen(space_group(name, column, chosen, batch))}
    assert by_metric["spearman"].value > rank
    assert by_metric["spearman"].baseline is not None
    assert by_metric["spearman"].value > by_metric["spearman"].baseline["kernels at the best time"]
    assert by_metric["median_error"].value < error


def test_language_models_are_nearer_than_the_roofline_and_as_near_as_neusight() -> None:
    tables = open_tables()
    if tables.path("gpu/neusight_e2e.csv") is None:
        pytest.skip("CODESIGN_REFERENCE is not set or lacks the file")
    scores: dict[tuple[str, str], Score] = {(one.group, one.metric): one for one in neusight_scores(tables)}
    whole = scores["all", "mape"]
    assert whole.baseline is not None
    assert whole.value < 11
    assert whole.value < 0.4 * whole.baseline["roofline"]
    assert whole.value < 1.05 * whole.baseline["NeuSight"]
    assert scores["training", "mape"].value < 13
    assert whole.rows + sum(whole.skipped.values()) == whole.rows_in_file


def test_a_row_of_the_examples_is_read_or_left() -> None:
    line = {
        "file": "PyTorch/Classification/ConvNets/efficientnet",
        "context": "a > Inference performance: NVIDIA V100 (1x V100 16GB) > Mixed Precision Inference Latency",
        "row": {"Model": "efficientnet-b4", "Batch Size": "8", "Throughput Avg": "416 img/s"},
    }
    run, *rest = examples._read(line)
    assert (run.gpu, run.precision, rest) == ("V100", "mixed precision", ["efficientnet-b4", 8, 416.0])
    for changed in (
        {"file": "TensorFlow/Classification/ConvNets/efficientnet"},
        {"context": line["context"].replace("Mixed Precision ", "")},
        {"context": line["context"].replace("Inference performance", "Training performance")},
        {"row": line["row"] | {"Model": "efficientnet-widese-b4"}},
    ):
        assert examples._read(line | changed) is None


def test_mixed_precision_casts_the_weights_of_each_layer() -> None:
    plain, mixed = (examples._rows("resnet50v1.5", 4, is_mixed=is_mixed) for is_mixed in (False, True))
    casts = Counter(mixed) - Counter(row._replace(weight_bits=16, activation_bits=16) for row in plain)
    with_weights = [row for row in plain if row.macs]
    assert sum(casts.values()) == len(with_weights) == 54
    assert sum(row.input_elements * n for row, n in casts.items()) == sum(row.weight_elements for row in with_weights)


def test_examples_of_v100_and_t4_are_within_their_bar() -> None:
    scores = {(one.group, one.metric): one.value for one in examples.example_scores(open_tables())}
    if not scores:
        pytest.skip("CODESIGN_REFERENCE is not set")
    for group in ("T4, fp32", "T4, mixed precision", "V100, fp32", "V100, mixed precision"):
        assert scores[group, "median_error"] <= 20
        assert scores[group, "spearman"] >= 0.95
