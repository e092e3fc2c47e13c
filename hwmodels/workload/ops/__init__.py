"""The operator vocabulary: shape inference, MACs, parameters and the cost-model row of each operator.

`row` says what a cost model sees and how it is counted; `products` holds the operators with multiply-accumulates,
`volumes` windows over three axes, `experts` mixtures of experts, `pointwise` those that compute without products,
`movement` those that move, store or only view data; `shared` wraps one that runs on another's weights or on complex
numbers.

Not modelled: data-dependent shapes, sparsity.
"""

from hwmodels.workload.ops.experts import Combine, Dispatch, ExpertLinear
from hwmodels.workload.ops.movement import (
    Cache,
    Concat,
    Constant,
    Embedding,
    EmbeddingBag,
    Permute,
    PixelShuffle,
    Rearrange,
    Resample,
    Reshape,
    Scatter,
    Select,
    Sort,
    Split,
    Unknown,
    Upsample,
    View,
    Zeros,
)
from hwmodels.workload.ops.pointwise import (
    Activation,
    ActivationName,
    AdaptivePool,
    Elementwise,
    ElementwiseName,
    Norm,
    Pool2d,
    Reduce,
    Softmax,
)
from hwmodels.workload.ops.products import (
    Attention,
    Conv2d,
    ConvTranspose2d,
    GroupedLinear,
    Linear,
    MatMul,
    Recurrent,
)
from hwmodels.workload.ops.row import Kind, Operator, Precision, Row, Shape
from hwmodels.workload.ops.shared import Complex, Shared
from hwmodels.workload.ops.volumes import Conv3d, ConvTranspose3d, Pool3d

__all__ = [
    "Activation",
    "ActivationName",
    "AdaptivePool",
    "Attention",
    "Cache",
    "Combine",
    "Complex",
    "Concat",
    "Constant",
    "Conv2d",
    "Conv3d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dispatch",
    "Elementwise",
    "ElementwiseName",
    "Embedding",
    "EmbeddingBag",
    "ExpertLinear",
    "GroupedLinear",
    "Kind",
    "Linear",
    "MatMul",
    "Norm",
    "Operator",
    "Permute",
    "PixelShuffle",
    "Pool2d",
    "Pool3d",
    "Precision",
    "Rearrange",
    "Recurrent",
    "Reduce",
    "Resample",
    "Reshape",
    "Row",
    "Scatter",
    "Select",
    "Shape",
    "Shared",
    "Softmax",
    "Sort",
    "Split",
    "Unknown",
    "Upsample",
    "View",
    "Zeros",
]
