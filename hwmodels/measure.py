"""Time layers and networks in torch on this machine, as rows for `hwmodels.calibrate`.

Each row warms up, then times call after call until it has used its seconds, and reports median and spread. One thread
is timed by its own clock, so other load on the machine counts only through caches and clocks; several threads by the
wall clock, a GPU by its events.

A layer in a `hot` context runs in a loop of its own. In a `cold` context each call starts after a sweep of the caches
by `SWEEP_BYTES` and a touch of the input, as the layer before would leave it. A network is its own context. `compiled`
is torch's traced, frozen and fused graph; `eager` runs operator by operator.

Not measured: energy. torch is imported when something is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.measurements import Measurement, written_workload
from hwmodels.units import MB
from hwmodels.workload.graph import Input, Workload
from hwmodels.workload.ops import Embedding

if TYPE_CHECKING:
    import torch

__all__ = ["LAYERS", "SWEEP_BYTES", "measure", "plan"]

SWEEP_BYTES = 32 * MB
"""Bytes read and written between cold calls: more than a core's share of the caches."""
_WARM_UP = 3
_FEWEST, _MOST = 5, 2000
_BLOCK_S = 50e-6
"""Hot calls are timed in blocks of at least this, so that the clock costs less than a percent."""

LAYERS: tuple[str, ...] = (
    *(
        f"conv {c}x{s}x{s} out={n} kernel={k} padding={k // 2} stride={stride}"
        for c, n, s, k, stride in (
            (3, 64, 224, 7, 2), (3, 32, 224, 3, 2), (16, 16, 32, 3, 1), (64, 64, 56, 3, 1), (128, 128, 28, 3, 1),
            (256, 256, 14, 3, 1), (512, 512, 7, 3, 1), (128, 256, 28, 3, 2), (32, 64, 56, 5, 1), (64, 256, 56, 1, 1),
            (256, 64, 56, 1, 1), (512, 128, 28, 1, 1), (96, 24, 56, 1, 1), (24, 144, 56, 1, 1), (192, 64, 14, 1, 1),
            (960, 160, 7, 1, 1), (320, 1280, 7, 1, 1), (1024, 2048, 7, 1, 2), (256, 256, 8, 1, 1), (64, 64, 8, 3, 1),
        )
    ),
    *(
        f"conv {c}x{s}x{s} out={c} kernel={k} padding={k // 2} stride={stride} groups={c}"
        for c, s, k, stride in (
            (32, 112, 3, 1), (96, 112, 3, 2), (144, 56, 3, 1), (144, 56, 5, 2), (192, 28, 3, 1), (384, 14, 3, 1),
            (576, 14, 5, 1), (960, 7, 3, 1), (672, 14, 7, 1),
        )
    ),
    *(
        f"conv {c}x{s}x{s} out={c} kernel=3 padding=1 groups={g}"
        for c, s, g in ((128, 56, 32), (256, 28, 32), (512, 14, 32), (232, 14, 2))
    ),
    *(f"linear {rows}x{k} out={n}" for rows, k, n in (
        (1, 512, 1000), (1, 2048, 1000), (1, 4096, 4096), (128, 768, 768), (128, 768, 3072), (128, 3072, 768),
        (197, 384, 1536),
    )),
    *(f"matmul {h}x{m}x{k} {h}x{k}x{n}" for h, m, k, n in (
        (12, 128, 64, 128), (12, 128, 128, 64), (12, 197, 64, 197), (6, 49, 32, 49),
    )),
    *(f"pool {c}x{s}x{s} mode={mode} kernel={k} stride={t} padding={p}" for c, s, mode, k, t, p in (
        (64, 112, "max", 3, 2, 1), (16, 32, "avg", 3, 1, 1), (64, 56, "max", 2, 2, 0), (192, 28, "max", 3, 1, 1),
    )),
    *(f"norm {c}x{s}x{s} mode=batch" for c, s in ((64, 112), (256, 56), (512, 28), (96, 14), (32, 32))),
    *(f"norm {rows}x{k} mode=layer" for rows, k in ((128, 768), (197, 384))),
    *(f"activation {c}x{s}x{s} function={f}" for c, s, f in (
        (64, 112, "relu"), (256, 56, "relu"), (512, 7, "relu"), (96, 56, "hardswish"), (144, 56, "silu"),
        (64, 28, "sigmoid"),
    )),
    "activation 128x3072 function=gelu",
    *(f"elementwise {c}x{s}x{s} function=add" for c, s in ((64, 56), (256, 56), (512, 28), (24, 14))),
    *(f"softmax {h}x{n}x{n}" for h, n in ((12, 128), (12, 197))),
    "lstm 32x256 hidden=512",
    "lstm 128x128 hidden=128",
)  # fmt: skip
"""Layers of published networks that show a machine's knobs: products by shape, depthwise, pooling, elementwise."""

Clock = Callable[[], float]


def plan(
    networks: Sequence[str],
    layers: Sequence[str] = (),
    *,
    batches: Sequence[int] = (1,),
    threads: Sequence[int] = (1,),
    runtimes: Sequence[str] = ("eager",),
    contexts: Sequence[str] = ("hot", "cold"),
) -> tuple[Measurement, ...]:
    """Plan the rows to time: every network and layer under every combination; networks are their own context.

    >>> len(plan(["resnet18"], ["linear 1x512 out=10"], threads=(1, 2)))
    6
    """
    rows = [
        Measurement(f"{text} b{batch} t{n} {runtime} {context}", text, batch, n, runtime, context=context)
        for text, kinds in (*((name, ("cold",)) for name in networks), *((text, tuple(contexts)) for text in layers))
        for batch in batches
        for n in threads
        for runtime in runtimes
        for context in kinds
    ]
    for row in rows:
        written_workload(row)
    return tuple(rows)


def measure(
    rows: Sequence[Measurement],
    module_of: Callable[[Workload], torch.nn.Module],
    *,
    accelerator: str = "cpu",
    seconds: float = 0.3,
) -> Iterator[Measurement]:
    """The rows with their median seconds a batch and spread, one after the other.

    Parameters
    ----------
    rows : what to time; `threads` 0 becomes torch's own number. module_of : builds the torch module of a workload.
    accelerator : cpu or cuda. seconds : of timed calls a row; every row gets at least five calls.

    Raises
    ------
    SpecError : cuda without a device, rows of another precision than fp32, or a network that `module_of` cannot build;
        before anything is timed.
    """
    import torch

    if accelerator not in ("cpu", "cuda"):
        raise SpecError.unknown("accelerator", accelerator, ("cpu", "cuda"))
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise SpecError.missing("--accelerator cuda", "a CUDA device", "torch sees none")
    for row in rows:
        if row.precision != "fp32":
            raise SpecError(f"{row.name}: precision", row.precision, "fp32")
    with torch.device("meta"):
        for workload in {id(w): w for w in map(written_workload, rows)}.values():
            module_of(workload)
    before = torch.get_num_threads()
    try:
        with torch.inference_mode():
            for row in rows:
                torch.set_num_threads(row.threads or before)
                yield _timed(replace(row, threads=torch.get_num_threads()), module_of, accelerator, seconds)
    finally:
        torch.set_num_threads(before)


def _timed(row: Measurement, module_of: Callable[[Workload], Any], accelerator: str, seconds: float) -> Measurement:
    import torch

    workload = written_workload(row)
    inputs = _inputs(workload, accelerator)
    module = module_of(workload).eval().to(accelerator)
    if row.runtime == "compiled":
        traced = torch.jit.trace(module, inputs)  # type: ignore[no-untyped-call]
        module = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
    samples = np.array(_samples(lambda: module(*inputs), inputs, row, accelerator, seconds))
    low, median, high = np.percentile(samples, (10, 50, 90)).tolist()
    return replace(row, seconds=median, spread=(high - low) / median)


def _samples(
    call: Callable[[], Any], inputs: Sequence[torch.Tensor], row: Measurement, accelerator: str, seconds: float
) -> list[float]:
    """Seconds of single calls."""
    import torch

    sweep = torch.zeros(int(SWEEP_BYTES // 4), device=accelerator) if row.is_layer and row.context == "cold" else None
    clock: Clock = time.thread_time if row.threads == 1 and accelerator == "cpu" else time.perf_counter
    for _ in range(_WARM_UP):
        call()
    began = time.perf_counter()
    call()
    once = max(time.perf_counter() - began, 1e-9)
    block = 1 if sweep is not None else max(1, round(_BLOCK_S / once))
    samples: list[float] = []
    spent = 0.0
    while len(samples) < _FEWEST or (spent < seconds and len(samples) < _MOST):
        if sweep is not None:
            sweep.add_(1.0)
            for tensor in inputs:
                tensor.clone()
        taken = _gpu_seconds(call, block) if accelerator == "cuda" else _seconds(call, block, clock)
        spent += taken
        samples.append(taken / block)
    return samples


def _seconds(call: Callable[[], Any], block: int, clock: Clock) -> float:
    start = clock()
    for _ in range(block):
        call()
    return clock() - start


def _gpu_seconds(call: Callable[[], Any], block: int) -> float:
    import torch

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    for _ in range(block):
        call()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) * 1e-3


def _inputs(workload: Workload, accelerator: str) -> list[torch.Tensor]:
    """Draw a random tensor for each input, token numbers where an embedding reads it, the same ones every time."""
    import torch

    generator = torch.Generator().manual_seed(0)
    entries = {
        source: node.operator.entries
        for node in workload
        if isinstance(node.operator, Embedding)
        for source in node.inputs
    }
    tensors = []
    for node in workload:
        if not isinstance(node.operator, Input):
            continue
        if node.name in entries:
            tensor = torch.randint(0, entries[node.name], node.shape, generator=generator)
        else:
            tensor = torch.randn(node.shape, generator=generator)
        tensors.append(tensor.to(accelerator))
    return tensors
