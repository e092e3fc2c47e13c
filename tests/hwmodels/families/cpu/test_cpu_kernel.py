"""The CPU kernel against a plain twin written from the equations of the family's README: tiles are walked one by one,
traffic is a dictionary of levels, and every algorithm is a list of reads."""

from __future__ import annotations

from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.families.base import family
from hwmodels.families.cpu import kernel
from hwmodels.families.cpu.spec import LAYOUTS, CpuSpec
from hwmodels.workload.formats import Format, format_of, precision_named
from hwmodels.workload.ops import (
    Activation,
    Attention,
    Concat,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Elementwise,
    Kind,
    Linear,
    MatMul,
    Norm,
    Operator,
    Pool2d,
    Recurrent,
    Row,
    Softmax,
)
from hwmodels.workload.table import Layers

MODEL = family("cpu")
NAMES = MODEL.layer_metrics
INFINITY = float("inf")
FORMATS = (
    "fp8", "fp8:int8", "fp4", "fp16", "bf16", "bf16:fp16", "int16", "int16:int8", "w4a16", "w8a32", "tf32", "fp64",
)  # fmt: skip


def evaluate(rows: list[Row], specs: list[CpuSpec]) -> tuple[np.ndarray, np.ndarray]:
    """out (C, L, M) and choice (C, L)."""
    out = np.full((len(specs), len(rows), len(NAMES)), np.nan)
    choice = np.full((len(specs), len(rows)), -1, np.int16)
    MODEL.layerwise.cost(Layers.of(rows), CpuSpec.to_table(specs), np.zeros(MODEL.layerwise.scratch_size), out, choice)
    return out, choice


class Machine:
    """A spec at its number of threads."""

    def __init__(self, spec: CpuSpec) -> None:
        s = self.spec = spec
        p = self.p = min(s.threads or s.big_cores, s.big_cores + s.little_cores)
        big = min(p, s.big_cores)
        speeds = [1.0] * big + [s.little_speed] * (p - big)
        self.speed = sum(speeds) if s.scheduling == "dynamic" else p * min(speeds)
        busy = 0.0 if s.big_cores == 1 else (big - 1) / (s.big_cores - 1)
        self.clock = (1 - busy) * s.clock_hz + busy * s.all_core_clock_hz
        self.lanes = s.simd_bits // 32
        far = min(s.core_dram_bytes_per_s * self.speed, s.dram_bytes_per_s * s.dram_efficiency)
        per_s = {"far": far}
        for level, rate in (("l3", s.l3_bytes_per_cycle), ("l2", s.l2_bytes_per_cycle), ("l1", s.l1_bytes_per_cycle)):
            per_s[level] = max(rate * self.clock * self.speed, *per_s.values())
        if s.flash_bytes:
            per_s["flash"] = s.flash_bytes_per_s
        self.per_s = per_s
        l2 = s.l2_bytes * (1 if s.l2_shared else p)
        self.capacity = [("l1", s.l1_bytes * p), ("l2", l2), ("l3", s.l3_bytes)]
        self.block = max(l2 / p, s.l1_bytes) / 2

    def read(self, amount: float, distance: float) -> dict[str, float]:
        """Bytes by level: what is not found up to a level goes on to the next."""
        found, before = {}, 0.0
        for level, capacity in self.capacity:
            until = max(before, min(1.0, capacity / distance if distance else 1.0))
            found[level] = amount * (until - before)
            before = until
        return {**found, "far": amount * (1 - before)}

    def seconds(self, traffic: dict[str, float]) -> float:
        return sum(amount / self.per_s[level] for level, amount in traffic.items() if amount)

    def together(self, one: float, shares: float) -> float:
        if self.p == 1:
            return one
        rounds = ceil(shares / self.p)
        return one * (
            self.spec.serial_fraction + (1 - self.spec.serial_fraction) * rounds * self.p / shares / self.speed
        )


def plus(*parts: dict[str, float]) -> dict[str, float]:
    return {level: sum(part.get(level, 0.0) for part in parts) for level in ("l1", "l2", "l3", "far", "flash")}


def width(bits: int) -> int:
    return min(w for w in (1, 2, 4, 8) if 8 * w >= bits)


def formats(row: Row) -> tuple[Format, Format]:
    """Weights and activations as a CPU takes them; a computed second operand is an activation."""
    activation = format_of(row.activation_bits, row.activation_format, in_float=True)
    weight = format_of(row.weight_bits, row.weight_format, in_float=True)
    return (activation if row.dynamic_operand else weight), activation


class Work:
    """One layer on one machine: bytes, lanes, MACs a cycle."""

    def __init__(self, row: Row, m: Machine, columns_first: bool) -> None:
        self.row, self.m, self.columns_first = row, m, columns_first
        dynamic = bool(row.dynamic_operand)
        self.bits = row.activation_bits if dynamic else max(row.activation_bits, row.weight_bits)
        s = m.spec
        self.computed = s.computed(*formats(row))[0].name
        self.lanes, self.rate = {
            "int8": (m.lanes, s.fma_units * s.int8_rate),
            "fp16": (2 * m.lanes, s.fma_units * s.half_rate / 2),
            "fp32": (m.lanes, s.fma_units),
            "fp64": (max(m.lanes // 2, 1), s.fma_units * (0.5 if m.lanes == 1 else 1.0)),
        }[self.computed]
        self.a = width(row.activation_bits)
        self.w = self.a if dynamic else width(row.weight_bits)
        self.inputs = row.input_elements * self.a * self.share("h") * self.share("w")
        self.outputs = row.output_elements * self.a
        self.weights = row.weight_elements * self.w
        cold = s.context == "cold" and not dynamic
        self.passed = s.reuse_distance_bytes if cold else 0.0
        self.flash = bool(s.flash_bytes) and not dynamic
        self.base = plus(m.read(self.inputs, self.inputs), m.read(2 * self.outputs, self.outputs))

    def share(self, axis: str) -> float:
        extent, outputs, k, stride, dilation = (
            getattr(self.row, name.format(axis))
            for name in ("in_{}", "out_{}", "kernel_{}", "stride_{}", "dilation_{}")
        )
        span = dilation * (k - 1) + 1
        step = min(stride, span)
        return min(extent, len({o * step + t for o in range(outputs) for t in range(span)})) / extent

    def fetch(self, amount: float) -> dict[str, float]:
        """Weights, read once."""
        return {"flash": amount} if self.flash else self.m.read(amount, amount + self.passed)

    def steps(self, m: int, vectors: int) -> float:
        """Cycles of one reduction step, tile by tile."""
        s = self.m.spec
        return sum(
            max(min(s.tile_rows, m - i) * min(s.tile_vectors, vectors - j) / self.rate, s.fma_latency_cycles)
            for i in range(0, m, s.tile_rows)
            for j in range(0, vectors, s.tile_vectors)
        )

    def tiles(self, m: int, vectors: int) -> int:
        return len(range(0, m, self.m.spec.tile_rows)) * len(range(0, vectors, self.m.spec.tile_vectors))

    def in_blocks(self, amount: float, size: float) -> dict[str, float]:
        """Worked on block by block: found in the first cache as far as that holds it, else in the second."""
        near = min(1.0, self.m.spec.l1_bytes * self.m.p / size)
        return {"l1": amount * near, "l2": amount * (1 - near)}

    def panels(self, m: int, vectors: int, k: int, repeats: float) -> dict[str, float]:
        left, right = m * k * self.a, k * vectors * self.lanes * self.w
        columns = len(range(0, vectors, self.m.spec.tile_vectors))
        again = repeats * left * (columns - 1)
        micro = self.in_blocks(again, left)
        by_rows = self.m.read(repeats * right * (ceil(left / max(self.m.block, k * self.a)) - 1), right)
        by_columns = self.m.read(repeats * left * (ceil(right / max(self.m.block, k * self.w)) - 1), left)
        blockings = [by_columns, by_rows] if self.columns_first else [by_rows, by_columns]
        return plus(micro, min(blockings, key=lambda traffic: float(f"{self.m.seconds(traffic):.12e}")))

    def layout(self, weights: float) -> float:
        s = self.m.spec
        seconds = weights / s.repack_bytes_per_s / self.m.speed if s.repacks_weights else 0.0
        if s.layout == "nchw":
            moved = plus(self.m.read(2 * self.inputs, self.inputs), self.m.read(2 * self.outputs, self.outputs))
            seconds += self.m.seconds(moved)
        return seconds


def gemm(work: Work, patches: bool = False):
    row, m = work.row, work.m
    vectors, repeats = ceil(row.n / work.lanes), row.groups * row.sequential_steps
    cycles = repeats * work.steps(row.m, vectors) * (row.k + m.spec.tile_overhead_steps)
    later = m.read((row.sequential_steps - 1) * work.weights, work.weights)
    traffic = plus(work.base, work.fetch(work.weights), later, work.panels(row.m, vectors, row.k, repeats))
    if patches:
        written = repeats * row.m * row.k * work.a
        traffic = plus(traffic, work.in_blocks(2 * written, written))
    packs = row.kind == Kind.CONV and m.spec.repacks_weights
    layout_s = work.weights / m.spec.repack_bytes_per_s / m.speed if packs else 0.0
    return cycles, row.groups * work.tiles(row.m, vectors), row.macs, 0.0, layout_s, traffic


def gemv(work: Work):
    row, m = work.row, work.m
    vectors = ceil(row.n / work.lanes)
    cycles = row.groups * row.sequential_steps * row.m * (row.k + m.spec.tile_overhead_steps) * vectors / work.rate
    once = work.weights if row.sequential_steps > 1 else work.weights / row.groups
    again = m.read((row.m * row.sequential_steps - 1) * work.weights, once)
    return cycles, row.groups * vectors, row.macs, 0.0, 0.0, plus(work.base, work.fetch(work.weights), again)


def direct(work: Work):
    row, m = work.row, work.m
    vectors, lines = ceil(row.n / work.lanes), row.batch * row.out_h
    cycles = row.groups * lines * work.steps(row.out_w, vectors) * (row.k + m.spec.tile_overhead_steps)
    columns = len(range(0, vectors, m.spec.tile_vectors))
    strip = row.kernel_h * row.in_w * row.in_channels // row.groups * work.a
    strips = m.read(max(lines * row.groups * columns * strip - work.inputs, 0.0), strip * m.p)
    again = m.read((lines - 1) * work.weights, work.weights / row.groups)
    traffic = plus(work.base, work.fetch(work.weights), strips, again)
    return cycles, row.groups * lines * columns, row.macs, 0.0, work.layout(work.weights), traffic


def winograd(work: Work, t: int):
    row, m = work.row, work.m
    points = (t + 2) ** 2
    tiles = row.batch * ceil(row.out_h / t) * ceil(row.out_w / t)
    vectors = ceil(row.n / work.lanes)
    cycles = points * work.steps(tiles, vectors) * (row.in_channels + m.spec.tile_overhead_steps)
    into, out = {2: (32, 24), 4: (156, 90), 6: (352, 252)}[t]
    weights = work.weights * points / 9
    # Transformed weights pass the same other data between two uses.
    fetched = {"flash": weights} if work.flash else m.read(weights, weights + work.passed)
    moved = points * tiles * (row.in_channels + row.out_channels) * work.a
    traffic = plus(
        work.base, fetched, work.in_blocks(2 * moved, moved),
        work.panels(tiles, vectors, row.in_channels, points),
    )  # fmt: skip
    ops = tiles * (row.in_channels * into + row.out_channels * out)
    macs = points * tiles * row.in_channels * row.n
    return cycles, points * work.tiles(tiles, vectors), macs, ops, work.layout(weights), traffic


def depthwise(work: Work):
    row = work.row
    vectors = ceil(row.out_channels / work.lanes)
    traffic = plus(work.base, work.fetch(work.weights))
    shares = row.batch * row.out_h * vectors
    by_hand = (row.kernel_h, row.kernel_w) == (3, 3)
    rate = work.rate if by_hand else work.rate * work.m.spec.depthwise_wide_rate
    return row.m * row.k * vectors / rate, shares, row.macs, 0.0, work.layout(work.weights), traffic


def algorithms(row: Row, spec: CpuSpec) -> list[tuple[str, object]]:
    """Candidates in the order of preference among equals."""
    if row.kind == Kind.CONV and row.groups == row.in_channels > 1:
        return [("depthwise", depthwise)]
    is_conv = row.kind == Kind.CONV
    pointwise = (row.kernel_h, row.kernel_w, row.stride_h, row.stride_w) == (1, 1, 1, 1)
    found = [("gemm", gemm)] if not is_conv or pointwise else [("im2col", lambda w: gemm(w, patches=True))]
    if found[0][0] == "gemm" and row.m < spec.tile_rows:
        found.append(("gemv", gemv))
    own_kernel = row.batch == row.groups == 1 and max(row.kernel_h, row.kernel_w) <= 3
    if not is_conv or (own_kernel and row.input_elements <= spec.direct_least_elements):
        return found
    if spec.has_direct:
        found.append(("direct", direct))
    dense3 = (row.kernel_h, row.kernel_w, row.stride_h, row.stride_w, row.dilation_h, row.dilation_w, row.groups)
    if spec.has_winograd and dense3 == (3, 3, 1, 1, 1, 1, 1) and spec.computed(*formats(row))[0].name != "int8":
        found += [(f"winograd{t}", lambda w, t=t: winograd(w, t)) for t in (2, 4, 6)]
    return found


def plain(row: Row, spec: CpuSpec, columns_first: bool = False) -> tuple[str, dict[str, float]]:
    """(algorithm, metrics) from the equations; `columns_first` decides between blockings that take the same time."""
    m = Machine(spec)
    work = Work(row, m, columns_first)
    if row.macs == 0:
        if not (row.vector_ops or row.input_elements or row.output_elements):
            return "stream", dict.fromkeys(NAMES, 0.0)
        efficiency = spec.pool_efficiency if row.kind == Kind.POOL else spec.vector_efficiency
        one = row.vector_ops / (m.lanes * spec.fma_units * m.clock * efficiency)
        shares = max(1, ceil(max(row.input_elements, row.output_elements) / spec.grain_elements))
        return "stream", finish(work, m.together(one, shares), 0.0, 0.0, row.vector_ops, 0.0, work.base)
    best: tuple[str, dict[str, float]] | None = None
    for name, algorithm in algorithms(row, spec):
        cycles, shares, macs, transforms, layout_s, traffic = algorithm(work)
        efficiency = spec.depthwise_efficiency if name == "depthwise" else spec.gemm_efficiency
        compute_s = m.together(cycles / m.clock / efficiency, shares)
        ops = transforms + row.vector_ops
        vector_s = ops / (m.lanes * spec.fma_units * m.clock * m.speed * spec.vector_efficiency)
        metrics = finish(work, compute_s, vector_s, layout_s, ops, macs, traffic)
        if best is None or metrics["latency_s"] < best[1]["latency_s"]:
            best = name, metrics
    assert best is not None
    return best


def finish(work: Work, compute_s, vector_s, layout_s, ops, macs, traffic) -> dict[str, float]:
    m, row = work.m, work.row
    s = m.spec
    memory_s = m.seconds(traffic)
    overhead = row.sequential_steps * (s.dispatch_s + s.barrier_s * log2(m.p))
    overhead += s.product_dispatch_s if row.macs else 0.0
    overhead += max(0.0, work.outputs - s.fault_threshold_bytes) / 4096 * s.page_fault_s
    overhead += s.invoke_s if row.output_offchip else 0.0
    overlapped = (compute_s**s.overlap_norm + memory_s**s.overlap_norm) ** (1 / s.overlap_norm)
    latency_s = overlapped + vector_s + layout_s + overhead
    cache, dram = traffic["l2"] + traffic["l3"], traffic["far"] + traffic["flash"]
    energy = {
        "mac_j": macs * s.mac_j * work.bits / 32,
        "vector_j": ops * s.vector_op_j,
        "cache_j": cache * s.cache_j_per_byte,
        "dram_j": dram * s.dram_j_per_byte,
        "static_j": (s.idle_w + s.core_w * m.p) * latency_s,
    }
    return {
        "latency_s": latency_s, "compute_s": compute_s, "memory_s": memory_s, "vector_s": vector_s,
        "layout_s": layout_s, "overhead_s": overhead, "energy_j": sum(energy.values()), **energy, "cache_bytes": cache,
        "dram_bytes": dram, "executed_macs": macs,
    }  # fmt: skip


def in_format(row: Row, name: str) -> Row:
    return row._replace(**precision_named(name, where="test")._asdict())


def row_of(operator: Operator, *shapes: tuple[int, ...], bits: int = 32, **flags: int) -> Row:
    row = operator.row(shapes, operator.infer(*shapes))
    return row._replace(weight_bits=bits, activation_bits=bits, **flags)


def bank() -> list[Row]:
    """Layers of every kind and algorithm; sizes small enough to walk their tiles."""
    image = (1, 24, 15, 14)
    return [
        row_of(Conv2d.square(40, 3), image),
        row_of(Conv2d.square(40, 3, stride=2), (2, 24, 15, 14), bits=16),
        row_of(Conv2d.square(33, 1), image, bits=8),
        row_of(Conv2d.square(48, 1, stride=2), image),
        row_of(Conv2d.square(24, 5, groups=24), image),
        row_of(Conv2d.square(24, 3, groups=6, dilation=2), image),
        row_of(Conv2d.square(64, 7, stride=2), (1, 3, 30, 30), output_offchip=1),
        row_of(Conv2d.square(96, 3), (1, 96, 8, 8)),
        row_of(Conv2d.square(16, 3), (1, 128, 20, 20), bits=16),
        row_of(Conv2d.square(128, 3), (1, 128, 12, 12)),
        row_of(Conv2d.square(64, 3), (8, 160, 2, 2)),
        row_of(ConvTranspose2d(12), image),
        row_of(Linear(100), (1, 300)),
        row_of(Linear(100), (5, 300), bits=8, output_offchip=1),
        row_of(Linear(70), (40, 90)),
        row_of(Linear(513), (3, 2100)),
        row_of(MatMul(), (1, 3, 20, 16), (1, 3, 16, 21)),
        row_of(Attention(1), (1, 2, 9, 8), (1, 2, 8, 10), (1, 2, 10, 6)),
        row_of(Recurrent("lstm", 20), (2, 6, 30)),
        row_of(Recurrent("gru", 64), (12, 3, 10)),
        row_of(Pool2d("max", 3, 2, 1), image),
        row_of(Pool2d("avg"), (1, 40, 7, 7), bits=8),
        row_of(Norm("batch"), image),
        row_of(Activation("gelu"), (1, 64, 64, 64)),
        row_of(Elementwise("add"), image, image, output_offchip=1),
        row_of(Softmax(), (1, 4, 30, 30)),
        row_of(Concat(1), image, (1, 8, 15, 14), bits=16),
        row_of(Activation("relu"), (4, 96, 160, 160)),
        row_of(Constant((1, 5)), bits=32),
        *(in_format(row_of(Linear(100), (5, 300)), name) for name in FORMATS),
        *(in_format(row_of(Conv2d.square(96, 3), (1, 96, 8, 8)), name) for name in ("fp8", "int8", "int16")),
        in_format(row_of(MatMul(), (1, 3, 20, 16), (1, 3, 16, 21)), "int4:fp16"),
    ]


@st.composite
def specs(draw: st.DrawFn) -> CpuSpec:
    """All terms at work: caches small enough to spill, every switch both ways."""
    pick = draw
    return CpuSpec(
        big_cores=pick(st.integers(1, 8)),
        little_cores=pick(st.integers(0, 4)),
        little_speed=pick(st.floats(0.1, 1.0)),
        clock_hz=pick(st.floats(1e8, 4e9)),
        all_core_clock_hz=pick(st.floats(1e8, 4e9)),
        threads=pick(st.integers(0, 12)),
        scheduling=pick(st.sampled_from(["static", "dynamic"])),
        serial_fraction=pick(st.floats(0, 0.5)),
        grain_elements=pick(st.sampled_from([1, 1000, 32768])),
        simd_bits=pick(st.sampled_from([32, 128, 256, 512])),
        fma_units=pick(st.sampled_from([0.25, 1.0, 2.0])),
        fma_latency_cycles=pick(st.floats(1, 8)),
        half_rate=pick(st.sampled_from([1.0, 2.0])),
        int8_rate=pick(st.floats(0.5, 8)),
        tile_rows=pick(st.integers(1, 16)),
        tile_vectors=pick(st.integers(1, 4)),
        tile_overhead_steps=pick(st.floats(0, 64)),
        depthwise_wide_rate=pick(st.floats(0.05, 1)),
        l1_bytes=pick(st.sampled_from([256, 4096, 65536])),
        l2_bytes=pick(st.sampled_from([0, 8192, 2**20])),
        l2_shared=pick(st.booleans()),
        l3_bytes=pick(st.sampled_from([0, 65536, 2**24])),
        core_dram_bytes_per_s=pick(st.floats(1e8, 1e11)),
        dram_bytes_per_s=pick(st.floats(1e8, 1e11)),
        flash_bytes=pick(st.sampled_from([0, 2**20])),
        overlap_norm=pick(st.floats(1, 8)),
        context=pick(st.sampled_from(["cold", "hot"])),
        layout=pick(st.sampled_from(LAYOUTS)),
        has_direct=pick(st.booleans()),
        has_winograd=pick(st.booleans()),
        direct_least_elements=pick(st.sampled_from([0, 6000])),
        repacks_weights=pick(st.booleans()),
        page_fault_s=pick(st.sampled_from([0.0, 1e-6])),
        fault_threshold_bytes=1e5,
    )


@settings(max_examples=60, deadline=None)
@given(specs())
def test_the_kernel_equals_its_plain_twin(spec: CpuSpec) -> None:
    rows = bank()
    out, choice = evaluate(rows, [spec])
    for index, row in enumerate(rows):
        chosen = kernel.CHOICES[choice[0, index]]
        found = [plain(row, spec, columns_first) for columns_first in (False, True)]
        assert out[0, index, 0] == pytest.approx(found[0][1]["latency_s"], rel=1e-12)
        # What takes the same time but for rounding, algorithms or blockings, may be chosen either way.
        same = [np.array([metrics[name] for name in NAMES]) for algorithm, metrics in found if algorithm == chosen]
        if same:
            assert any(np.allclose(out[0, index], expected, rtol=1e-12, atol=1e-30) for expected in same), (
                index,
                chosen,
            )


def test_every_algorithm_is_chosen_somewhere_in_the_bank() -> None:
    base = CpuSpec(threads=1)
    slow_products = {"has_winograd": True, "fma_units": 0.25, "vector_efficiency": 1.0, "fma_latency_cycles": 1.0}
    variants = [
        base,
        base.model_copy(update={"has_direct": False}),
        base.model_copy(update={"has_winograd": True, "vector_efficiency": 1.0}),
        # Dear transforms take the smallest tile, dear products the largest.
        base.model_copy(update={**slow_products, "has_direct": False, "vector_efficiency": 0.3}),
        base.model_copy(update={**slow_products, "l1_bytes": 2**20, "gemm_efficiency": 0.2}),
    ]
    _, choice = evaluate(bank(), variants)
    assert {kernel.CHOICES[i] for i in np.unique(choice)} == set(kernel.CHOICES)


def test_codes_are_those_of_their_definitions() -> None:
    knobs = CpuSpec.knobs()
    assert knobs["layout"].choices == LAYOUTS
    assert LAYOUTS[kernel._NCHW] == "nchw"
    assert knobs["context"].choices[kernel._COLD] == "cold"
    assert knobs["scheduling"].choices[kernel._DYNAMIC] == "dynamic"
    named = {name: kernel.CHOICES.index(name) for name in ("gemm", "gemv", "im2col", "direct", "depthwise", "stream")}
    assert named == {name: getattr(kernel, f"_{name.upper()}") for name in named}
    assert kernel.CHOICES[kernel._WINOGRAD : kernel._WINOGRAD + 3] == ("winograd2", "winograd4", "winograd6")


def test_listed_pairs_equal_all_pairs() -> None:
    rows, variants = bank(), [CpuSpec(), CpuSpec(threads=1, layout="nchw", repacks_weights=True, has_winograd=True)]
    out, choice = evaluate(rows, variants)
    config, layer = (index.ravel() for index in np.indices(choice.shape))
    listed, chosen = np.zeros((config.size, len(NAMES))), np.zeros(config.size, np.int16)
    MODEL.layerwise.cost_at(Layers.of(rows), CpuSpec.to_table(variants), layer, config, np.zeros(1), listed, chosen)
    assert (listed == out.reshape(listed.shape)).all()
    assert (chosen == choice.ravel()).all()


@settings(max_examples=30, deadline=None)
@given(specs())
def test_an_explained_layer_is_the_one_of_the_twin(spec: CpuSpec) -> None:
    """Cycles, shares of work and traffic by level of the chosen algorithm, from the equations."""
    machine, rows = Machine(spec), bank()
    out, choice = evaluate(rows, [spec])
    for index, row in enumerate(rows):
        found = MODEL.explain(row, spec)
        assert found["algorithm"] == kernel.CHOICES[choice[0, index]]
        assert found["threads"] == machine.p
        works = [Work(row, machine, columns_first) for columns_first in (False, True)]
        if row.macs == 0:
            assert "one_thread_cycles" not in found
            assert "tile_rows" not in found
            elements = max(row.input_elements, row.output_elements)
            expected = [(None, max(1, ceil(elements / spec.grain_elements)), works[0].base)]
        else:
            function = dict(algorithms(row, spec))[found["algorithm"]]
            expected = [(answer[0], answer[1], answer[5]) for answer in map(function, works)]
            assert found["one_thread_cycles"] == pytest.approx(expected[0][0], rel=1e-12)
        assert found["work_shares"] == expected[0][1]
        levels = [found[f"{level}_bytes"] for level in ("l1", "l2", "l3", "dram", "flash")]
        # Blockings that take the same time but for rounding may be chosen either way.
        assert any(
            np.allclose(levels, [traffic[level] for level in ("l1", "l2", "l3", "far", "flash")], rtol=1e-9, atol=1e-6)
            for *_, traffic in expected
        ), (index, found)
        if (row.macs, row.vector_ops, row.input_elements, row.output_elements) != (0, 0, 0, 0):
            metrics = dict(zip(NAMES, out[0, index], strict=True))
            assert metrics["cache_bytes"] == found["l2_bytes"] + found["l3_bytes"]
            assert metrics["dram_bytes"] == found["dram_bytes"] + found["flash_bytes"]


def test_a_tile_is_explained_where_the_algorithm_has_one() -> None:
    spec = CpuSpec(threads=1, tile_rows=6, tile_vectors=2, simd_bits=256)
    found = MODEL.explain(row_of(Linear(70), (40, 90)), spec)
    assert (found["algorithm"], found["tile_rows"], found["tile_vectors"], found["lanes"]) == ("gemm", 6, 2, 8)
    found = MODEL.explain(row_of(Linear(70), (40, 90), bits=8), spec)
    assert found["lanes"] == 8
    alone = MODEL.explain(row_of(Conv2d.square(24, 5, groups=24), (1, 24, 15, 14)), spec)
    assert alone["algorithm"] == "depthwise"
    assert not {"tile_rows", "tile_vectors", "lanes"} & set(alone)
