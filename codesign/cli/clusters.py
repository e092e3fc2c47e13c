"""`codesign plans` and `codesign serve`: training and serving of a decoder on a cluster, every way to share it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Json, KnobValues
from codesign.cli.outputs import Force
from codesign.cli.printing import pretty, print_doubts, print_json, print_table
from codesign.cli.sources import knob_values
from codesign.report.table_file import TABLE_ENDINGS, write_table
from hwmodels.errors import SpecError
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from hwmodels.families.multigpu.decoder import Decoder
    from hwmodels.families.multigpu.spec import MultiGpuSpec

__all__: list[str] = []

Network = Annotated[str | None, typer.Argument(help="Published decoder, as llama_3_8b.")]
ConfigFile = Annotated[Path | None, typer.Option("--hf-config", help="Or a Hugging Face config.json.")]
Cluster = Annotated[str, typer.Option("--device", help="Catalogue device of the family multigpu, or YAML file.")]
Format = Annotated[str, typer.Option("--format", help="Number format of products: fp16, bf16, fp8.")]
Rows = Annotated[int, typer.Option("--count", help="Rows that are shown.", min=1)]
Table = Annotated[Path | None, typer.Option("-o", "--output", help="Write the table: .csv, .parquet, .md or .tex.")]

_SHARES = ("data", "tensor", "pipeline", "context", "expert", "microbatch", "interleave", "sequence", "zero")
_ENUMERATED = ("data", "tensor", "pipeline")
"""Knobs of the family that plans and pools take every value of."""
_RECOMPUTES = ("none", "selective", "full")
_SECONDS = ("step_s", "compute_s", "recompute_s", "exchange_s", "bubble_s", "transfer_s", "gradient_s", "optimiser_s")


@app.command()
def plans(
    network: Network = None,
    hf_config: ConfigFile = None,
    device: Cluster = "dgx_a100",
    batch: Annotated[int, typer.Option(help="Sequences a step, of all GPUs together.", min=1)] = 512,
    tokens: Annotated[int, typer.Option(help="Tokens a sequence.", min=1)] = 2048,
    number_format: Format = "bf16",
    by: Annotated[str, typer.Option(help="What the best plan has least of: time, memory, energy or cost.")] = "time",
    knobs: KnobValues = None,
    count: Rows = 8,
    output: Table = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Rank every plan of training a decoder on a cluster: data, tensor, pipeline, context, experts, ZeRO, recompute."""
    from hwmodels.families.multigpu.search import BY, best_plans
    from hwmodels.families.multigpu.training import Job, model_flops

    if output is not None:
        check_new_file(output, force=force, endings=TABLE_ENDINGS)
    if by not in BY:
        raise SpecError.unknown("--by", by, BY)
    model, spec = _decoder(network, hf_config, number_format), _cluster(device, knobs)
    job = Job(model, tokens, batch)
    found = best_plans(job, spec, by=by, count=count)
    gpus = spec.nodes * spec.gpus_per_node
    flops = model_flops(job)
    records = [
        {
            **{name: plan[name] for name in _SHARES},
            "recompute": _RECOMPUTES[plan["recompute"]],
            "zero_bubble": bool(plan["zero_bubble"]),
            **{name: plan[name] for name in _SECONDS},
            "held_bytes": plan["held_bytes"],
            "tokens_per_s_per_gpu": batch * tokens / plan["step_s"] / gpus,
            "model_flops_per_s_per_gpu": flops / plan["step_s"] / gpus,
        }
        for plan in found
    ]
    if output is not None:
        write_table(output, {name: [record[name] for record in records] for name in records[0]})
    if as_json:
        return print_json({"gpus": gpus, "batch": batch, "tokens": tokens, "by": by, "plans": records})
    name = network or str(hf_config)
    print(f"{name} on {gpus} GPUs ({device}), {batch} sequences of {tokens} tokens a step, least {by} first")
    print_table(
        ("data", "tensor", "pipe", "micro", "ZeRO", "again", "others", "step", "bubble", "exchange", "memory",
         "tokens/s/GPU", "TFLOP/s/GPU"),
        map(_plan_cells, records),
    )  # fmt: skip
    if output is not None:
        print(f"table in {output}")


def _plan_cells(plan: Mapping[str, Any]) -> Sequence[str]:
    others = {"context": "CP", "expert": "EP", "interleave": "pieces"}
    told = [f"{word} {plan[name]}" for name, word in others.items() if plan[name] > 1]
    told += ["sequence"] * bool(plan["sequence"]) + ["zero bubble"] * plan["zero_bubble"]
    exchanged_s = plan["exchange_s"] + plan["transfer_s"] + plan["gradient_s"]
    return (
        *(str(plan[name]) for name in ("data", "tensor", "pipeline", "microbatch", "zero")),
        plan["recompute"],
        ", ".join(told) or "-",
        *pretty({"step_s": plan["step_s"]}, ["step_s"]),
        f"{100 * plan['bubble_s'] / plan['step_s']:.0f} %",
        f"{100 * exchanged_s / plan['step_s']:.0f} %",
        f"{plan['held_bytes'] / 1e9:.3g} GB",
        f"{plan['tokens_per_s_per_gpu']:,.0f}",
        f"{plan['model_flops_per_s_per_gpu'] / 1e12:.0f}",
    )


@app.command()
def serve(
    network: Network = None,
    hf_config: ConfigFile = None,
    device: Cluster = "dgx_h100",
    prompt: Annotated[int, typer.Option(help="Tokens of a prompt.", min=1)] = 1024,
    answer: Annotated[int, typer.Option(help="Tokens of an answer.", min=1)] = 256,
    number_format: Format = "bf16",
    token: Annotated[str | None, typer.Option(help="Longest time from token to token, as '20 ms'.")] = None,
    first_token: Annotated[str | None, typer.Option(help="Longest time to the first token, unloaded.")] = None,
    knobs: KnobValues = None,
    count: Rows = 8,
    output: Table = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Rank the pools that serve a decoder by answered tokens a second and GPU, each at its best batch.

    The first token is that of an empty pool: queues are not modelled. The last line has prompts and tokens on pools of
    their own.
    """
    from hwmodels.families.multigpu.search import best_pools
    from hwmodels.families.multigpu.serving import Pool, Request, disaggregated

    if output is not None:
        check_new_file(output, force=force, endings=TABLE_ENDINGS)
    model, spec = _decoder(network, hf_config, number_format), _cluster(device, knobs)
    request = Request(prompt, answer)
    token_s, first_s = _seconds(token, "--token"), _seconds(first_token, "--first-token")
    pools = best_pools(model, spec, request, first_token_s=first_s, token_s=token_s, count=count)
    best = pools[0]
    pool = Pool(*(best[name] for name in Pool._fields))
    apart = disaggregated(model, pool, pool, spec, request, batch=best["batch"])
    if output is not None:
        write_table(output, {name: [record[name] for record in pools] for name in best})
    if as_json:
        return print_json({"prompt": prompt, "answer": answer, "pools": pools, "disaggregated": apart._asdict()})
    print(f"{network or hf_config} on {device}: prompts of {prompt}, answers of {answer} tokens; first token unloaded")
    print_table(
        ("tensor", "pipe", "experts over", "batch", "largest", "first token", "token", "tokens/s/GPU", "memory"),
        map(_pool_cells, pools),
    )
    print(
        f"prompts and tokens apart, pools as in the first line: {apart.tokens_per_s_per_gpu:,.0f} tokens/s/GPU with "
        f"{100 * apart.prefill_share:.0f} % of the GPUs reading prompts, {1e3 * apart.token_s:.3g} ms a token"
    )
    if output is not None:
        print(f"table in {output}")


def _seconds(text: str | None, where: str) -> float:
    """A limit on a time; none is no limit."""
    from hwmodels.units import parse_quantity

    return inf if text is None else parse_quantity(text, "s", where=where)


def _pool_cells(record: Mapping[str, Any]) -> Sequence[str]:
    return (
        *(str(record[name]) for name in ("tensor", "pipeline", "expert", "batch", "largest")),
        *pretty({name: record[name] for name in ("first_token_s", "token_s")}, ["first_token_s", "token_s"]),
        f"{record['tokens_per_s_per_gpu']:,.0f}",
        f"{record['held_bytes'] / 1e9:.3g} GB",
    )


def _decoder(network: str | None, hf_config: Path | None, number_format: str) -> Decoder:
    from hwmodels.families.multigpu.published import decoder

    if (network is None) == (hf_config is None):
        raise SpecError("network", "nothing" if network is None else "two", "one of NAME and --hf-config")
    return decoder(network if hf_config is None else hf_config, product_format=number_format)  # type: ignore[arg-type]


def _cluster(device: str, knobs: list[str] | None) -> MultiGpuSpec:
    from hwmodels.catalog import device as load
    from hwmodels.catalog import device_names
    from hwmodels.families.multigpu.spec import MultiGpuSpec

    chosen = load(device)
    asked = knob_values(knobs)
    spec = chosen.spec.revised(asked, where="--set")
    if not isinstance(spec, MultiGpuSpec):
        raise SpecError("--device", f"{device} ({chosen.model.name})", "of the family multigpu, as dgx_a100")
    for name in _ENUMERATED:
        if name in asked:
            raise SpecError("--set", f"{name}={asked[name]}", "a knob of the cluster; plans and pools have every share")
    if knobs or device not in device_names():
        print_doubts(chosen.name, spec)
    return spec
