"""`codesign plans` and `codesign serve`: tables, records and files; what no cluster holds is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwmodels.families.multigpu.published import decoder
from hwmodels.workload.zoo import network

SMALL = ("gpt2", "--device", "dgx_a100")


@pytest.mark.parametrize("name", ["gpt2_xl", "llama_3_8b", "mistral_7b", "mixtral_8x7b", "opt_1_3b"])
def test_a_published_decoder_has_the_parameters_of_its_network(name: str) -> None:
    """But for biases and norms, which are not counted alike in every architecture: within a thousandth."""
    from hwmodels.families.multigpu.decoder import parameters

    model = decoder(name)
    of = parameters(model)
    stored = model.layers * (of["layer"] + of["experts"]) + of["embedding"] + of["head"] + of["last"]
    assert stored == pytest.approx(network(name).parameters, rel=1e-3)


def test_plans_are_ranked_and_use_every_gpu(run, tmp_path: Path) -> None:
    table = tmp_path / "plans.csv"
    code, out, _ = run("plans", *SMALL, "--batch", "64", "--tokens", "512", "--json", "-o", str(table))
    assert code == 0
    found = json.loads(out)
    steps = [plan["step_s"] for plan in found["plans"]]
    assert steps == sorted(steps)
    assert all(
        plan["data"] * plan["tensor"] * plan["pipeline"] * plan["context"] == found["gpus"] == 8
        for plan in found["plans"]
    )
    best = found["plans"][0]
    assert best["tokens_per_s_per_gpu"] == pytest.approx(64 * 512 / best["step_s"] / 8)
    assert table.read_text(encoding="utf-8").startswith("data,tensor,pipeline")
    by_memory = json.loads(run("plans", *SMALL, "--batch", "64", "--tokens", "512", "--by", "memory", "--json")[1])
    assert by_memory["plans"][0]["held_bytes"] <= min(plan["held_bytes"] for plan in found["plans"])


def test_pools_are_ranked_within_limits(run) -> None:
    arguments = ("serve", "gpt2", "--device", "dgx_a100", "--prompt", "256", "--answer", "64", "--count", "40")
    found = json.loads(run(*arguments, "--json")[1])
    rates = [pool["tokens_per_s_per_gpu"] for pool in found["pools"]]
    assert rates == sorted(rates, reverse=True)
    assert 0 < found["disaggregated"]["prefill_share"] < 1
    slowest = found["pools"][0]["token_s"]
    met = json.loads(run(*arguments, "--token", f"{slowest / 2} s", "--json")[1])["pools"]
    assert all(pool["token_s"] <= slowest / 2 for pool in met)
    assert met[0]["tokens_per_s_per_gpu"] < rates[0]
    code, out, _ = run(*arguments)
    assert code == 0
    assert "first token unloaded" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("plans", "gpt3_175b", "--batch", "8"), "GB a GPU"),
        (("plans", "resnet50"), "decoder: resnet50"),
        (("plans", *SMALL, "--by", "tim"), "did you mean time"),
        (("plans", "gpt2", "--device", "a100_40_sxm"), "of the family multigpu"),
        (("plans",), "one of NAME and --hf-config"),
        (("plans", *SMALL, "--format", "fp9"), "did you mean fp8"),
        (("serve", *SMALL, "--token", "1 ns"), "the least is"),
        (("serve", *SMALL, "--first-token", "soon"), "--first-token"),
        (("serve", "gpt3_175b", "--device", "dgx1_v100"), "none holds the model"),
    ],
)
def test_what_cannot_run_is_one_line(run, arguments: tuple[str, ...], told: str) -> None:
    code, _, error = run(*arguments)
    assert code == 2
    assert told in error
    assert error.count("\n") == 1
