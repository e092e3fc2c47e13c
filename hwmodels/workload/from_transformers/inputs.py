"""What a model of transformers is called with: tokens, pixels, sound; shapes from its configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["example_inputs", "forward_arguments"]

_SAMPLES = 16_000
"""Of sound in the raw: one second at the usual rate."""


def forward_arguments(model: Any) -> set[str]:
    """The arguments that the model takes by name."""
    return set(inspect.signature(model.forward).parameters)


def example_inputs(model: Any, *, batch: int, tokens: int) -> dict[str, Any]:
    """Empty inputs by name, on the meta device.

    tokens : of text, read and, in an encoder-decoder, written; images and sound have the size of the configuration.
    """
    import torch

    config, taken = model.config, forward_arguments(model)
    words = torch.zeros((batch, tokens), dtype=torch.long, device="meta")
    makers: dict[str, Callable[[], Any]] = {
        "input_ids": lambda: words,
        "pixel_values": lambda: _pixels(config, batch),
        "input_features": lambda: _spectrum(config, batch),
        "input_values": lambda: torch.zeros((batch, _SAMPLES), device="meta"),
    }
    main = model.main_input_name if model.main_input_name in makers else "input_ids"
    wanted = [main]
    if main == "input_ids" and "pixel_values" in taken and not model.can_generate():
        wanted.append("pixel_values")  # two towers, both of which run
    if main == "pixel_values" and "input_ids" in taken and not config.is_encoder_decoder:
        wanted.append("input_ids")
    inputs = {name: makers[name]() for name in wanted}
    if "decoder_input_ids" in taken:
        inputs["decoder_input_ids"] = words
    return inputs


def _pixels(config: Any, batch: int) -> Any:
    import torch

    vision = getattr(config, "vision_config", None) or config
    size = getattr(vision, "image_size", 224)
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return torch.zeros((batch, getattr(vision, "num_channels", 3), height, width), device="meta")


def _spectrum(config: Any, batch: int) -> Any:
    """Mel bands by frames, two frames for each position that the encoder keeps."""
    import torch

    frames = 2 * getattr(config, "max_source_positions", 1500)
    return torch.zeros((batch, getattr(config, "num_mel_bins", 80), frames), device="meta")
