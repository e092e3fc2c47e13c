"""The surfaces that take files and words of strangers: for each, a seeded input and the functions that read it.

A surface is a function of a generator and an empty folder that damages something good and reads it as the commands do.
It returns plain numbers to look at, or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from codesign.app.accuracy_table import read_accuracy_table
from codesign.app.assemble import dataset_of, joint_space, search_of
from codesign.app.config import DataConfig, load_config
from codesign.cli.options import numbers, rate_of
from codesign.cli.sources import Source, executed, grid_axes, knob_values
from codesign.executor.serial import SerialExecutor
from codesign.space.cell import CellSpace
from codesign.store import RunBlobs
from hwmodels.catalog import device, load_device
from hwmodels.evaluate import evaluate
from hwmodels.families.spec import Spec
from hwmodels.grid import Grid
from hwmodels.measurements import read_measurements, workload_of
from hwmodels.rate import at_rate
from hwmodels.validate import open_tables, validate
from hwmodels.workload.from_hf_config import from_hf_config
from hwmodels.workload.from_layer_list import from_layer_list
from hwmodels.workload.from_onnx import from_onnx
from hwmodels.workload.graph import Workload
from hwmodels.workload.zoo import network
from tests.fuzz.damage import HOSTILE_WORDS, Rng, damaged_data, damaged_text, pick
from tests.fuzz.run_folders import run_folder
from tests.hwmodels.workload import onnx_damage

__all__ = ["SURFACES"]


def _write(path: Path, text: str, data: Any, rng: Rng) -> Path:
    """A damaged file: its text, or its data written as JSON or YAML after the damage."""
    if rng.random() < 0.5:
        path.write_bytes(damaged_text(text, rng))
        return path
    broken = damaged_data(data, rng)
    if path.suffix == ".json":
        path.write_text(json.dumps(broken))
        return path
    # JSON is YAML, and its writer knows nested data best; block style half of the time.
    as_json = rng.random() < 0.5 or _depth(broken) > 100  # its writer of YAML nests no deeper
    written = json.dumps(broken, ensure_ascii=False) if as_json else yaml.safe_dump(broken, allow_unicode=True)
    path.write_bytes(written.encode(errors="surrogatepass"))
    return path


def _depth(data: Any) -> int:
    """How deep plain data are nested."""
    depth, level = 0, [data]
    while level:
        depth += 1
        level = [x for part in level if isinstance(part, dict | list)
                 for x in (part.values() if isinstance(part, dict) else part)]  # fmt: skip
    return depth


def _totals(workload: Workload, on: Any, spec: Any) -> dict[str, Any]:
    """The costs of a design that runs the network; nothing where it does not fit."""
    report = evaluate(workload, on, spec)
    return {} if report.infeasible else {name: float(report.total(name)) for name in on.names}


# Run configuration

_RUNS = (
    """seed: 3
generations: 2
data: {name: digits}
architecture: {space: cell, channels: 4, cells: 1, stages: 1, operations: [none, skip_connect, nor_conv_3x3]}
hardware:
  device: rram_edge
  knobs: {array_rows: [64, 128], adc_bits: [5, 7]}
  search: joint
objectives: [energy_j, latency_s]
constraints: {latency_s: 2 ms, area_mm2: 50, accuracy: '>= 0.5'}
strategy: {name: nsga2, population: 16}
fast: {pairs: 500, pruning: sound, audits: 1}
slow: {trainings: 1, classes: 1, selection: stratified}
estimator: {name: training, draws: 1, recipe: {epochs: 1, learning_rate: 0.05, batch_size: 64}}
executor: {name: serial}
""",
    """architecture: {space: chain, stages: 1, width: [4, 8], kernel: [1, 3], bits: [8]}
hardware: {device: [systolic_edge, tpu_v1], knobs: {clock_hz: [500 MHz, 1 GHz]}}
rate_hz: 10
batch: 2
runtime: eager
strategy: evolution
least_accuracy: 0.3
slow: {trainings: 2, draws: 2, recipe: {epochs: 1}}
""",
    """architecture: {space: fixed, network: lenet5}
hardware: {device: rpi5, knobs: {threads: [1, 2, 4]}, search: inner}
objectives: [latency_s]
estimator: {name: none}
strategy: {name: random}
""",
)


@cache
def _digits() -> Any:
    return dataset_of(DataConfig())


def run_yaml(rng: Rng, folder: Path) -> dict[str, Any]:
    """A configuration of a run, read and put together up to the first pair, without its trainings."""
    text = pick(rng, _RUNS)
    overrides = [_assignment(rng)] if rng.random() < 0.2 else []
    config = load_config(_write(folder / "run.yaml", text, yaml.safe_load(text), rng), overrides)
    data = _digits() if config.data == DataConfig() else dataset_of(config.data)
    search_of(config, joint_space(config, data), data, RunBlobs(), executor=SerialExecutor())
    return config.model_dump(mode="json")


def _assignment(rng: Rng) -> str:
    keys = (
        "slow.trainings",
        "hardware.knobs.adc_bits",
        "seed",
        "fast",
        "a.b.c",
        "",
        ".",
        "data.name",
        "hardware.device",
    )
    return f"{pick(rng, keys)}{pick(rng, ('=', '', '=='))}{pick(rng, HOSTILE_WORDS)}"


# Devices


@cache
def _device_text(name: str) -> str:
    return (files("hwmodels") / "catalog" / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def _device_data(name: str) -> Any:
    return yaml.safe_load(_device_text(name))


@cache
def _lenet5() -> Workload:
    return network("lenet5")


def device_yaml(rng: Rng, folder: Path) -> dict[str, Any]:
    """A device file, and LeNet-5 on the device that it gives."""
    name = pick(rng, ("rpi5", "tpu_v1", "rram_edge", "stm32h743", "dimc_isscc_2022_15_5"))
    found = load_device(_write(folder / "board.yaml", _device_text(name), _device_data(name), rng))
    return _totals(_lenet5(), found.model, found.spec)


# Tables

_MEASURED = """name,network,batch,threads,runtime,precision,context,seconds,spread,energy_j
a,lenet5,1,1,eager,fp32,cold,0.0005,0.04,nan
b,lenet5@1x28x28,2,0,compiled,int8,hot,0.0003,0.06,0.01
c,conv 3x32x32 out=8 kernel=3 padding=1 stride=2,1,1,eager,fp32,hot,0.0001,0.08,nan
d,linear 16x32 out=64,1,1,eager,fp16,hot,0.00001,0.1,
e,matmul 2x8x8 2x8x8,1,1,eager,w4a16,hot,0.00002,0.1,
f,lstm 4x8 hidden=16,1,1,eager,fp32,hot,0.00002,0.1,
g,pool 4x8x8 mode=max kernel=2 stride=2 padding=0,1,1,eager,fp32,hot,0.00002,0.1,
h,norm 4x8x8 mode=batch,1,1,eager,fp32,hot,0.00002,0.1,
i,softmax 4x8x8,1,1,eager,fp32,hot,0.00002,0.1,
"""


def measurement_csv(rng: Rng, folder: Path) -> list[float]:
    """Measured latencies, and the networks that their rows name."""
    path = folder / "m.csv"
    path.write_bytes(damaged_text(_MEASURED, rng))
    rows = read_measurements(path)
    return [float(min(workload_of(row).macs, 2**200)) for row in rows[:10]] + [row.seconds for row in rows]


@cache
def _cells() -> CellSpace:
    return CellSpace(
        classes=10, input_shape=(1, 8, 8), channels=4, cells=1, stages=1, operations=("none", "skip_connect")
    )


def accuracy_table(rng: Rng, folder: Path) -> list[float]:
    """Accuracies of the networks of a space of 64, as CSV and as npz."""
    space = _cells()
    if rng.random() < 0.35:
        path = folder / "acc.npz"
        with path.open("wb") as stream:
            np.savez(stream, **_arrays(rng, space.size))
        if rng.random() < 0.4:
            path.write_bytes(damaged_text(path.read_bytes().decode("latin-1"), rng))
    else:
        lines = [f"{pick(rng, ('0', '1'))}-1-0-0-1-{i % 2},{0.01 * i:.3f}" for i in range(20)]
        header = pick(rng, ("genotype,accuracy", "genotype, accuracy", "arch,accuracy", "index,accuracy"))
        path = folder / "acc.csv"
        path.write_bytes(damaged_text("\n".join([header, *lines]) + "\n", rng))
    return list(read_accuracy_table(path, space).by_index.values())


def _arrays(rng: Rng, size: int) -> dict[str, Any]:
    accuracy: Any = rng.random(size)
    index: Any = np.arange(size)
    kinds: tuple[Callable[[Any], Any], ...] = (
        lambda a: a, lambda a: a[:5], lambda a: a * 100, lambda a: a.astype("U8"), lambda a: a[:, None],
        lambda a: np.full(size, np.nan), lambda a: a.astype(complex), lambda a: a > 0.5, lambda a: np.array(0.5),
        lambda a: -a, lambda a: a.astype("float16"), lambda a: a * 1e30, lambda a: a[:0], lambda a: a.astype("S4"),
        lambda a: a.astype("datetime64[s]"), lambda a: np.zeros(size, "i4,f8"), lambda a: a.astype(">f8"),
        lambda a: a + 2.0**63,
    )  # fmt: skip
    arrays = {"accuracy": pick(rng, kinds)(accuracy)}
    if rng.random() < 0.6:
        arrays["index"] = pick(rng, kinds)(index)
    if rng.random() < 0.1:
        arrays = {"acc": accuracy}
    return arrays


# Networks


def onnx_file(rng: Rng, folder: Path) -> list[float]:
    """A damaged ONNX file, sometimes with extents of its input."""
    path = folder / "net.onnx"
    path.write_bytes(onnx_damage.damaged(int(rng.integers(2**40))))
    shapes = pick(rng, (None, None, {}, {"x": (1, 3, 16, 16)}, {"": (3, 16, 16)}, {"y": (1,)}, {"x": (10**9,) * 4}))
    found = from_onnx(path, batch=pick(rng, (None, 1, 3)), input_shapes=shapes)
    return [float(found.macs), float(found.parameters)]


_LLAMA = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "head_dim": 8, "hidden_act": "silu",
    "hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 128, "mlp_bias": False,
    "model_type": "llama", "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5, "rope_scaling": {"factor": 8.0, "rope_type": "llama3"}, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16", "vocab_size": 100, "sliding_window": 16, "layer_types": ["full_attention"] * 2,
}  # fmt: skip
_CONFIGS: tuple[dict[str, Any], ...] = (
    _LLAMA,
    {**_LLAMA, "model_type": "mistral"},
    {**_LLAMA, "model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 1},
    {**_LLAMA, "model_type": "qwen3"},
    {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
     "intermediate_size": 64, "vocab_size": 100, "type_vocab_size": 2, "max_position_embeddings": 64,
     "hidden_act": "gelu"},
    {"model_type": "distilbert", "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "vocab_size": 100},
    {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": None, "vocab_size": 100,
     "n_positions": 64, "activation_function": "gelu_new"},
    {"model_type": "opt", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64,
     "vocab_size": 100, "word_embed_proj_dim": 16, "do_layer_norm_before": True, "enable_bias": True},
    {"model_type": "gpt_neox", "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4,
     "num_hidden_layers": 2, "vocab_size": 100, "attention_bias": False},
    {"model_type": "phi", "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4,
     "num_hidden_layers": 2, "vocab_size": 100, "qk_layernorm": True},
)  # fmt: skip


def config_json(rng: Rng, folder: Path) -> list[float]:
    """A configuration of a transformer."""
    base = pick(rng, _CONFIGS)
    path = _write(folder / "config.json", json.dumps(base, indent=1), base, rng)
    found = from_hf_config(path, tokens=int(pick(rng, (1, 8))), past=int(pick(rng, (0, 31))))
    return [float(found.macs), float(found.parameters)]


_LISTS = {
    "topology.csv": """Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Stride,
Conv1,227,227,11,11,3,96,4,
Conv2,31,31,5,5,96,256,1,
FC1,1,1,1,1,256,10,1,
""",
    "gemm.csv": "Layer, M, N, K,\nqkv, 128, 64, 64,\nout, 128, 64, 32,\n",
    "problem.yaml": """problem:
  shape:
    name: CNN-Layer
    dimensions: [C, M, R, S, N, P, Q]
    coefficients: [{name: Wstride, default: 1}, {name: Hstride, default: 1}]
    data-spaces:
    - {name: Weights, projection: [[[C]], [[M]], [[R]], [[S]]]}
    - {name: Inputs, projection: [[[N]], [[C]], [[R], [P, Wstride]], [[S], [Q, Hstride]]]}
    - {name: Outputs, projection: [[[N]], [[M]], [[Q]], [[P]]], read-write: True}
  instance: {C: 3, M: 8, R: 3, S: 3, N: 1, P: 8, Q: 8, Wstride: 1, Hstride: 1}
""",
    "workload.yaml": """- id: 0
  operator_type: Conv
  equation: O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]
  dimension_relations: [ix=1*ox+1*fx, iy=1*oy+1*fy]
  loop_dims: [B, K, G, OX, OY, C, FX, FY]
  loop_sizes: [1, 8, 1, 8, 8, 3, 3, 3]
  operand_precision: {W: 8, I: 8, O: 16, O_final: 8}
  operand_source: {I: 0, W: 0}
""",
}


def layer_list(rng: Rng, folder: Path) -> list[float]:
    """A list of layers of one of three simulators."""
    name = pick(rng, list(_LISTS))
    path = folder / name
    if path.suffix == ".csv":
        path.write_bytes(damaged_text(_LISTS[name], rng))
    else:
        _write(path, _LISTS[name], yaml.safe_load(_LISTS[name]), rng)
    found = from_layer_list(path)
    return [float(found.macs), float(found.parameters)]


# Reference folder

_SHIPPED = ("imc/isaac_table1.csv", "imc/isaac_chip.csv")
_ASKED_FOR = (
    ("spatial/scalesim_closed_form.csv", "rows,cols,dataflow,m,n,k,cycles\n8,8,os,8,8,8,30\n8,8,ws,8,8,8,37\n"),
    ("nas/networks.csv", "name,note,params,macs,input\nlenet5,x,61706,416520,1x32x32\n"),
    ("nas/ofa_specialized.csv", "name,macs,params\na,1,2\n"),
    ("gpu/mlperf_tiny_v1.0.csv", "device,network,latency_ms,energy_uj\nnucleo_l4r5zi,ds_cnn,100,1000\n"),
    ("imc/macros.csv", "name,tops,tops_per_w\na,1,2\n"),
)


@cache
def _shipped(relative: str) -> str:
    return (files("hwmodels") / "reference" / Path(relative).name).read_text(encoding="utf-8")


def reference_folder(rng: Rng, folder: Path) -> list[float]:
    """A folder of reference files with one that is damaged, or of other columns, under a name that is asked for."""
    if rng.random() < 0.7:
        relative = pick(rng, _SHIPPED)
        text, family = _shipped(relative), "crossbar"
    else:
        relative, text = pick(rng, _ASKED_FOR)
        family = {"spatial": "spatial", "imc": "crossbar"}.get(relative.partition("/")[0], "workload")
    place = folder / relative
    place.parent.mkdir(parents=True)
    place.write_bytes(damaged_text(text, rng))
    return [float(score.value) for score in validate([family], reference=open_tables(folder))]


# Words of the command line


def _settings(rng: Rng) -> list[str]:
    knobs = ("clock_hz", "array_rows", "threads", "adc_bits", "dram_bytes_per_s", "dataflow", "array_rows=array_cols")
    name = pick(rng, (*knobs, *HOSTILE_WORDS)) if rng.random() < 0.4 else pick(rng, knobs)
    values = [pick(rng, (*HOSTILE_WORDS, "8", "64", "1 GHz", "os")) for _ in range(int(rng.integers(1, 4)))]
    return [f"{name}{pick(rng, ('=', '=', '=', ' = ', '', ':'))}{','.join(values)}"]


def option_words(rng: Rng, folder: Path) -> Any:
    """`--set` of a device and of a grid, `--input`, `--rate`, `--batch` lists, `--layer-bits` and `--format`."""
    ways, word = int(rng.integers(6)), pick(rng, HOSTILE_WORDS)
    found = device(pick(rng, ("rpi5", "tpu_v1", "rram_edge")))
    if ways == 0:
        spec = found.spec.parse({**found.spec.values(), **knob_values(_settings(rng))}, where="--set")
        return _totals(_lenet5(), found.model, spec)
    if ways == 1:
        grid = Grid(found.spec, grid_axes(_settings(rng)), where="--set")
        return _totals(_lenet5(), found.model, grid.spec(len(grid) - 1))
    if ways == 2:
        shapes = ("1x32x32", "x=1x3x32x32", "512", f"1x{word}", f"{word}=1x28x28", word, "0x0", "1x1x1", "3x32x32")
        source = Source(pick(rng, ("lenet5", "resnet18", "bert_base", word)), inputs=(pick(rng, shapes),))
        return [float(_workload(source, None).macs)]
    if ways == 3:
        rate = pick(rng, (word, "10", "2 kHz", f"{word} Hz", f"{word}/s", "1e300 GHz"))
        return _totals(_lenet5(), at_rate(found.model, rate_of(rate), where="--rate"), found.spec)
    if ways == 4:
        return list(numbers("--batch", pick(rng, (word, f"1,{word}", "1,2,4")), least=1))
    rule = pick(rng, (f"first={word}", f"{word}=8", "conv=w4a16", word, f"layer*={word}:8", "depthwise=8:16"))
    named = pick(rng, (None, word, f"{word}:int8"))
    return [float(_workload(Source("lenet5"), [rule], found.spec, number_format=named).macs)]


def _workload(source: Source, rules: list[str] | None, *specs: Spec, number_format: str | None = None) -> Workload:
    found = executed(
        [source], *specs, batch=None, number_format=number_format, layer_bits=rules, runtime="compiled",
        fuse_attention=False,
    )  # fmt: skip
    return found.workloads[0]


SURFACES: dict[str, Callable[[Rng, Path], Any]] = {
    "run YAML": run_yaml,
    "device YAML": device_yaml,
    "measurement CSV": measurement_csv,
    "accuracy table": accuracy_table,
    "ONNX": onnx_file,
    "config.json": config_json,
    "layer list": layer_list,
    "run folder": run_folder,
    "reference folder": reference_folder,
    "option words": option_words,
}
"""Name -> what makes one input of the surface and reads it."""
