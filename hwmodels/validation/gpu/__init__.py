"""What the GPU model is held against; each score says what its constants were fitted on.

Kernels measured on whole GPUs: products in bf16 and fp8 (`products`), attention of prompts and single tokens
(`attention`), mixtures of experts (`experts`), products and elementwise kernels in float32 (`products`), layers of
language models (`language_layers`). Networks: whole search spaces (`networks`), image networks (`vision`, `examples`),
transformers in inference and training (`language`), phones (`phones`), small boards and Vulkan (`boards`), what
different hardware prefers (`pictures`). The GPU that is scored gave no row to the constants of kernels, or thirty
(`protocols`): what attention and experts share with products is fitted on products of the other GPUs. MACs, a roofline
and a law of four constants stand beside (`baselines`).
"""

from __future__ import annotations

from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.gpu.attention import attention_scores
from hwmodels.validation.gpu.boards import jetson_scores, ncnn_scores
from hwmodels.validation.gpu.examples import example_scores
from hwmodels.validation.gpu.experts import expert_scores
from hwmodels.validation.gpu.language import neusight_scores
from hwmodels.validation.gpu.language_layers import language_scores
from hwmodels.validation.gpu.networks import space_scores
from hwmodels.validation.gpu.phones import phone_scores
from hwmodels.validation.gpu.pictures import picture_scores
from hwmodels.validation.gpu.products import bf16_left_out, fp32_scores, tensor_scores, vector_scores
from hwmodels.validation.gpu.vision import timm_scores

__all__ = ["validate"]


def validate(tables: ReferenceTables) -> list[Score]:
    """Scores of the GPU model; none where no reference file is present."""
    left = bf16_left_out(tables)
    base = {name: constants for name, (_, constants) in left.items()}
    return [
        *tensor_scores(tables, left), *attention_scores(tables, base), *expert_scores(tables, base),
        *fp32_scores(tables), *vector_scores(tables), *language_scores(tables), *space_scores(tables),
        *timm_scores(tables), *example_scores(tables), *neusight_scores(tables), *phone_scores(tables),
        *jetson_scores(tables), *ncnn_scores(tables), *picture_scores(tables),
    ]  # fmt: skip
