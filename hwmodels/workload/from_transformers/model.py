"""A model of transformers without weights: the library, the configuration, the class, the module on the meta device."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from io import StringIO
from typing import Any

from hwmodels.errors import SpecError
from hwmodels.workload.from_transformers.decoding import ATTENTION, register_attention

__all__ = ["built", "is_installed", "known_types", "library"]

_PARTS = ("text_config", "vision_config", "audio_config", "encoder", "decoder")
"""Configurations within a configuration."""

_MOST_LAYERS = 512


def is_installed() -> bool:
    """Whether the extra `hf` is there."""
    from importlib.util import find_spec

    return find_spec("transformers") is not None


def library(where: str, model_type: str) -> Any:
    """The library.

    Raises
    ------
    SpecError : it is not installed, or it cannot be imported.
    """
    if not is_installed():
        raise SpecError(
            f"{where}: model_type", model_type, "one that is read without transformers",
            "pip install 'codesign[hf]' opens every other type",
        )  # fmt: skip
    _leave_out_broken_torchvision()
    try:
        return import_module("transformers")
    except Exception as error:
        raise SpecError("transformers", _first_line(error), "an importable library") from None


def _leave_out_broken_torchvision() -> None:
    """A torchvision built for another torch fails on import, and every model of the library with it.

    The library asks whether torchvision is there, not whether it works; networks of tokens do not need it.
    """
    try:
        import_module("torchvision")
    except Exception:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision"] = None  # type: ignore[assignment]  # what Python reads as: not there
        for question in ("is_torchvision_available", "is_torchvision_v2_available"):  # answered before, if it was asked
            answers: Any = getattr(sys.modules.get("transformers.utils.import_utils"), question, None)
            if hasattr(answers, "cache_clear"):
                answers.cache_clear()


def known_types(transformers: Any) -> list[str]:
    """Every `model_type` that the library reads."""
    return list(transformers.CONFIG_MAPPING.keys())


def built(transformers: Any, content: Mapping[str, Any], where: str, *, own_attention: bool = True) -> Any:
    """The module of a configuration, on the meta device and ready to be traced.

    own_attention : as this project writes it where the class lets it be chosen, else as the class has it.

    Raises
    ------
    SpecError : an unknown type, fields that the library refuses, a class that cannot be built; one line.
    """
    model_type = str(content.get("model_type"))
    if model_type not in transformers.CONFIG_MAPPING:
        raise SpecError.unknown(f"{where}: model_type", model_type, known_types(transformers))
    with _quietly():
        try:
            config = transformers.CONFIG_MAPPING[model_type].from_dict(dict(content))
        except Exception as error:
            raise SpecError(where, _first_line(error), f"a configuration of {model_type}") from None
        _check_depth(config, where)
        try:
            kind = _class_of(transformers, config, where)
            return _instance(kind, config, own_attention=own_attention)
        except SpecError:
            raise
        except Exception as error:
            raise SpecError(where, _first_line(error), f"a {model_type} that transformers can build") from None


def _check_depth(config: Any, where: str) -> None:
    """Layers are built and traced one by one, so that their number must be one that ends."""
    for part in (config, *(getattr(config, name, None) for name in _PARTS)):
        depth = getattr(part, "num_hidden_layers", 0)
        if isinstance(depth, int) and not 0 <= depth <= _MOST_LAYERS:
            raise SpecError(f"{where}: num_hidden_layers", depth, f"between 0 and {_MOST_LAYERS}")


def _instance(kind: Any, config: Any, *, own_attention: bool) -> Any:
    import torch

    register_attention()
    chosen = getattr(config, "_attn_implementation", None)
    with torch.device("meta"):
        if own_attention:
            try:
                _choose_attention(config, ATTENTION)
                return kind(config).eval()
            except Exception:
                _choose_attention(config, chosen)
        return kind(config).eval()


def _choose_attention(config: Any, name: str | None) -> None:
    config._attn_implementation = name
    for part in _PARTS:
        if getattr(config, part, None) is not None:
            getattr(config, part)._attn_implementation = name


def _class_of(transformers: Any, config: Any, where: str) -> Any:
    """The class that the file names, or that its type stands for: decoders with their head, encoders bare."""
    auto = transformers.models.auto.modeling_auto
    named = (config.architectures or [None])[0]
    if named is not None:
        if not hasattr(transformers, named):
            raise SpecError(f"{where}: architectures", named, "a class of transformers")
        return getattr(transformers, named)
    model_type = config.model_type
    masked = auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    for names, fits in (
        (auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES, True),
        (auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES, True),
        (auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, model_type not in masked),
        (auto.MODEL_MAPPING_NAMES, True),
    ):
        found = names.get(model_type)
        if found and fits:
            return getattr(transformers, found if isinstance(found, str) else found[0])
    raise SpecError(f"{where}: model_type", model_type, "a type with a model of its own", "name one in architectures")


@contextmanager
def _quietly() -> Iterator[None]:
    """The library's advice is for who loads weights."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
