"""Time layers and networks in torch on this machine, as rows for `hwmodels.calibrate`.

Each row warms up, then times call after call until it has used its seconds, and reports median and spread. One thread
is timed by its own clock, so other load on the machine counts only through caches and clocks; several threads by the
wall clock, a GPU by its events.

A layer in a `hot` context runs in a loop of its own. In a `cold` context each call starts after a sweep of the caches
by `SWEEP_BYTES` and a touch of the input, as the layer before would leave it. A network is its own context. `compiled`
is torch's traced, frozen and fused graph; `eager` runs operator by operator.

Formats: floats of 16, 32 and 64 bits and TF32 as torch casts a whole network; int8 and fp8 as single products, which
is what torch has kernels for (int32 and bf16 results, scales of one).

Not measured: energy. torch is imported when something is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.measurements import Measurement, layer, written_workload
from hwmodels.units import MB
from hwmodels.workload.graph import Input, Workload
from hwmodels.workload.ops import Embedding, Linear

if TYPE_CHECKING:
    import torch

__all__ = ["GPU_LAYERS", "LAYERS", "SWEEP_BYTES", "formats_of", "measure", "plan"]

SWEEP_BYTES = 32 * MB
"""Bytes read and written between cold calls: more than a core's share of the caches; a GPU's own cache twice."""
_PRODUCTS_ONLY = ("int8", "fp8")
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

GPU_LAYERS: tuple[str, ...] = (
    *(f"linear {m}x{k} out={n} bias=0" for m, k, n in (
        (16, 4096, 4096), (32, 4096, 11008), (64, 8192, 1024), (64, 1024, 8192), (128, 4096, 4096), (256, 8192, 8192),
        (512, 4096, 14336), (1024, 1024, 1024), (1024, 4096, 6144), (2048, 4096, 4096), (2048, 5120, 13824),
        (4096, 4096, 4096), (4096, 12288, 4096), (8192, 4096, 2048), (8192, 8192, 8192),
    )),
    *(f"attention {heads}x{tokens}x128 shared={shared} causal=1" for heads, tokens, shared in (
        (8, 512, 4), (8, 2048, 4), (32, 1024, 1), (8, 8192, 4),
    )),
    *(f"attention {heads}x1x128 shared={shared} keys={keys} causal=1" for heads, shared, keys in (
        (8, 4, 1024), (8, 4, 8192), (32, 1, 4096),
    )),
)  # fmt: skip
"""Products and attention of language models, prompts and single tokens: what tensor units and their caches show."""

Clock = Callable[[], float]


def formats_of(accelerator: str) -> tuple[str, ...]:
    """Formats that torch computes in on this machine's processor or GPU.

    TF32 from compute capability 8.0 on, fp8 from 8.9 on [NVIDIA, CUDA C++ Programming Guide, tensor core formats].

    Raises
    ------
    SpecError : cuda without a device.
    """
    import torch

    if accelerator not in ("cpu", "cuda"):
        raise SpecError.unknown("accelerator", accelerator, ("cpu", "cuda"))
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise SpecError.missing("--accelerator cuda", "a CUDA device", "torch sees none")
    found = ["fp32", "fp16", "bf16", "int8"]
    if accelerator == "cuda":
        capability = torch.cuda.get_device_capability()
        found += [name for name, least in (("tf32", (8, 0)), ("fp8", (8, 9))) if capability >= least]
    return tuple(found)


def plan(
    networks: Sequence[str],
    layers: Sequence[str] = (),
    *,
    batches: Sequence[int] = (1,),
    threads: Sequence[int] = (1,),
    runtimes: Sequence[str] = ("eager",),
    contexts: Sequence[str] = ("hot", "cold"),
    precisions: Sequence[str] = ("fp32",),
) -> tuple[Measurement, ...]:
    """Plan the rows to time: every network and layer under every combination; networks are their own context.

    Formats that torch has products in alone (int8, fp8) are rows of linear layers of more than 16 rows and of depths
    and outputs in sixteens, which every accelerator takes.

    Raises
    ------
    SpecError : nothing is left to time.

    >>> len(plan(["resnet18"], ["linear 1x512 out=10"], threads=(1, 2)))
    6
    """
    rows = [
        Measurement(
            f"{text} b{batch} t{n} {runtime} {context}" + (f" {precision}" if precision != "fp32" else ""),
            text, batch, n, runtime, precision, context,
        )
        for text, kinds in (*((name, ("cold",)) for name in networks), *((text, tuple(contexts)) for text in layers))
        for batch in batches
        for n in threads
        for runtime in runtimes
        for context in kinds
        for precision in precisions
        if precision not in _PRODUCTS_ONLY or _is_plain_product(text)
    ]  # fmt: skip
    if not rows:
        raise SpecError("precision", ", ".join(precisions), "a float: networks are not timed in products alone")
    for row in rows:
        written_workload(row)
    return tuple(rows)


def _is_plain_product(text: str) -> bool:
    """Whether torch's products in 8 bits take a layer on every accelerator."""
    if not text.startswith("linear "):
        return False
    workload = layer(text)
    *leading, depth = workload.input_shapes[0]
    return prod(leading) > 16 and depth % 16 == workload[workload.outputs[0]].shape[-1] % 16 == 0


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
    SpecError : cuda without a device, a precision that torch does not compute in here, or a network that `module_of`
        cannot build; before anything is timed.
    """
    import torch

    known = formats_of(accelerator)
    for row in rows:
        if row.precision not in known:
            raise SpecError.unknown(f"{row.name}: precision", row.precision, known)
        if row.precision in _PRODUCTS_ONLY and not _is_plain_product(row.network):
            where = f"{row.name}: precision"
            raise SpecError(where, row.precision, "that of a linear layer of over 16 rows in sixteens, else a float")
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
    device = _device(accelerator)
    if row.precision in _PRODUCTS_ONLY:
        call, inputs = _product(workload, row.precision, device)
    else:
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(row.precision, torch.float32)
        inputs = [t.to(dtype) if t.is_floating_point() else t for t in _inputs(workload, device)]
        module = module_of(workload).eval().to(device, dtype)
        if row.runtime == "compiled":
            traced = torch.jit.trace(module, inputs)  # type: ignore[no-untyped-call]
            module = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        call = partial(module, *inputs)
    with _tf32(allowed=row.precision == "tf32"):
        samples = np.array(_samples(call, inputs, row, accelerator, seconds))
    low, median, high = np.percentile(samples, (10, 50, 90)).tolist()
    return replace(row, seconds=median, spread=(high - low) / median)


@contextmanager
def _tf32(*, allowed: bool) -> Iterator[None]:
    """Products of fp32 operands in TF32, or not; as it was on leaving."""
    import torch

    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = allowed
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value


def _device(accelerator: str) -> str:
    """Where torch keeps the tensors."""
    return accelerator


def _product(workload: Workload, precision: str, device: str) -> tuple[Callable[[], Any], list[torch.Tensor]]:
    """One product in 8 bits, and its operand that the layer before would leave: (rows, k) by (k, outputs)."""
    import torch

    generator = torch.Generator().manual_seed(0)
    operator = workload[workload.outputs[0]].operator
    assert isinstance(operator, Linear)  # `measure` has looked
    *leading, k = workload.input_shapes[0]
    drawn = [
        torch.randint(-8, 8, shape, generator=generator) for shape in ((prod(leading), k), (operator.out_features, k))
    ]
    if precision == "int8":
        left, right = (tensor.to(device, torch.int8) for tensor in drawn)
        return partial(torch._int_mm, left, right.t()), [left]
    left, right = (tensor.to(device, torch.float8_e4m3fn) for tensor in drawn)
    one = torch.ones((), device=device)
    scaled: Callable[..., Any] = torch._scaled_mm
    return partial(scaled, left, right.t(), one, one, out_dtype=torch.bfloat16), [left]


def _samples(
    call: Callable[[], Any], inputs: Sequence[torch.Tensor], row: Measurement, accelerator: str, seconds: float
) -> list[float]:
    """Seconds of single calls."""
    import torch

    is_cold = row.is_layer and row.context == "cold"
    sweep = torch.zeros(_sweep_bytes(accelerator) // 4, device=_device(accelerator)) if is_cold else None
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


def _sweep_bytes(accelerator: str) -> int:
    import torch

    cache = torch.cuda.get_device_properties(0).L2_cache_size if accelerator == "cuda" else 0
    return max(int(SWEEP_BYTES), 2 * cache)


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


def _inputs(workload: Workload, device: str) -> list[torch.Tensor]:
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
        tensors.append(tensor.to(device))
    return tensors
