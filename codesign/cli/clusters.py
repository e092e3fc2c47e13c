"""`codesign plans` and `codesign serve`: training and serving of a decoder on a cluster, every way to share it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Json, KnobValues, numbers
from codesign.cli.outputs import Force
from codesign.cli.printing import pretty, print_doubts, print_json, print_table
from codesign.cli.sources import knob_values
from codesign.report.table_file import TABLE_ENDINGS, write_table
from hwmodels.errors import SpecError
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from hwmodels.families.multigpu.decoder import Decoder
    from hwmodels.families.multigpu.serving import Pool
    from hwmodels.families.multigpu.spec import MultiGpuSpec

__all__: list[str] = []

Network = Annotated[str | None, typer.Argument(help="Published decoder, as llama_3_8b.")]
ConfigFile = Annotated[Path | None, typer.Option("--hf-config", help="Or a Hugging Face config.json.")]
Cluster = Annotated[str, typer.Option("--device", help="Catalogue device of the family multigpu, or YAML file.")]
Format = Annotated[str, typer.Option("--format", help="Number format of products: fp16, bf16, fp8.")]
Rows = Annotated[int, typer.Option("--count", help="Rows that are shown.", min=1)]
Table = Annotated[Path | None, typer.Option("-o", "--output", help="Write the table: .csv, .parquet, .md or .tex.")]

_SHARES = ("data", "tensor", "pipeline", "context", "expert", "microbatch", "interleave", "sequence", "zero")
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
    by: Annotated[str, typer.Option(help="What the best plan has least of: time, memory or energy.")] = "time",
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
    waits = {"exchange_s": plan["exchange_s"] + plan["transfer_s"] + plan["gradient_s"]}
    return (
        *(str(plan[name]) for name in ("data", "tensor", "pipeline", "microbatch", "zero")),
        plan["recompute"],
        ", ".join(told) or "-",
        *pretty({"step_s": plan["step_s"]}, ["step_s"]),
        f"{100 * plan['bubble_s'] / plan['step_s']:.0f} %",
        f"{100 * waits['exchange_s'] / plan['step_s']:.0f} %",
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
    batch: Annotated[str, typer.Option(help="Requests under way in a pool.")] = "1,8,32,128",
    number_format: Format = "bf16",
    token: Annotated[str | None, typer.Option(help="Longest time from token to token, as '20 ms'.")] = None,
    knobs: KnobValues = None,
    count: Rows = 12,
    output: Table = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Rank the pools that serve a decoder by answered tokens a second and GPU: shares of layers, stages, experts.

    The first token is that of an empty pool: queues are not modelled. The last line has prompts and tokens on pools of
    their own.
    """
    from hwmodels.families.multigpu.serving import Pool, Request
    from hwmodels.units import parse_quantity

    if output is not None:
        check_new_file(output, force=force, endings=TABLE_ENDINGS)
    model, spec = _decoder(network, hf_config, number_format), _cluster(device, knobs)
    limit = None if token is None else parse_quantity(token, "s", where="--token")
    batches, request = numbers("--batch", batch, least=1), Request(prompt, answer)
    powers = [2**i for i in range(13)]
    pools = [
        Pool(t, p, t if model.experts and not model.experts % t else 1)
        for t, p in product(powers, powers)
        if t <= spec.gpus_per_node and t * p <= spec.nodes * spec.gpus_per_node and p <= model.layers
        if not model.heads % t
    ]
    records = _served(model, pools, spec, request, batches)
    fitting = [record for record in records if record["largest_batch"] > 0]
    if not fitting:
        raise SpecError("serve", "no pool of the cluster", "one whose GPUs hold the weights and a request")
    met = [record for record in fitting if limit is None or record["token_s"] <= limit]
    if not met:
        least = min(record["token_s"] for record in fitting)
        raise SpecError("--token", token, f">= {1e3 * least:.3g} ms, the least of all pools")
    met.sort(key=lambda record: (-record["tokens_per_s_per_gpu"], record["token_s"]))
    apart = _disaggregated(model, met[0], spec, request)
    if output is not None:
        write_table(output, {name: [record[name] for record in met] for name in met[0]})
    if as_json:
        return print_json({"prompt": prompt, "answer": answer, "pools": met, "disaggregated": apart})
    print(f"{network or hf_config} on {device}: prompts of {prompt}, answers of {answer} tokens; first token unloaded")
    print_table(
        ("tensor", "pipe", "experts over", "batch", "largest", "first token", "token", "tokens/s/GPU", "memory"),
        map(_pool_cells, met[:count]),
    )
    print(
        f"prompts and tokens apart, pools as in the first line: {apart['tokens_per_s_per_gpu']:,.0f} tokens/s/GPU with "
        f"{100 * apart['prefill_share']:.0f} % of the GPUs reading prompts, {1e3 * apart['token_s']:.3g} ms a token"
    )
    if output is not None:
        print(f"table in {output}")


def _served(
    model: Decoder, pools: Sequence[Pool], spec: MultiGpuSpec, request: Any, batches: Sequence[int]
) -> list[dict[str, Any]]:
    """Every pool at every batch that it holds, once each."""
    from hwmodels.families.multigpu.serving import serve as served

    records: dict[tuple[Any, ...], dict[str, Any]] = {}
    for pool in pools:
        found = served(model, pool, spec, request, batches)
        for i, batch in enumerate(found.batch.tolist()):
            records[pool, batch] = {
                "tensor": pool.tensor, "pipeline": pool.pipeline, "expert": pool.expert, "batch": batch,
                "largest_batch": found.largest, "first_token_s": float(found.first_token_s[i]),
                "token_s": float(found.token_s[i]), "tokens_per_s_per_gpu": float(found.tokens_per_s_per_gpu[i]),
                "held_bytes": float(found.held_bytes[i]),
            }  # fmt: skip
    return list(records.values())


def _disaggregated(model: Decoder, best: Mapping[str, Any], spec: MultiGpuSpec, request: Any) -> dict[str, float]:
    from hwmodels.families.multigpu.serving import Pool, disaggregated

    pool = Pool(best["tensor"], best["pipeline"], best["expert"])
    return disaggregated(model, pool, pool, spec, request, batch=best["batch"])._asdict()


def _pool_cells(record: Mapping[str, Any]) -> Sequence[str]:
    return (
        *(str(record[name]) for name in ("tensor", "pipeline", "expert", "batch", "largest_batch")),
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
    spec = chosen.spec.revised(knob_values(knobs), where="--set")
    if not isinstance(spec, MultiGpuSpec):
        raise SpecError("--device", f"{device} ({chosen.model.name})", "of the family multigpu, as dgx_a100")
    if knobs or device not in device_names():
        print_doubts(chosen.name, spec)
    return spec
