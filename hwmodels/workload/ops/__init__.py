"""The operator vocabulary: shape inference, MACs, parameters and the cost-model row of each operator.

`row` says what a cost model sees and how it is counted; `products` holds the operators with multiply-accumulates,
`pointwise` those that compute without, `movement` those that move, store or only view data; `shared` wraps one that
runs on another's weights.

Not modelled: data-dependent shapes, sparsity, complex numbers, convolutions of three and more dimensions.
"""

from hwmodels.workload.ops.movement import (
    Cache,
    Concat,
    Constant,
    Embedding,
    Permute,
    PixelShuffle,
    Rearrange,
    Reshape,
    Select,
    Split,
    Unknown,
    Upsample,
    View,
    Zeros,
)
from hwmodels.workload.ops.pointwise import (
    Activation,
    ActivationName,
    Elementwise,
    ElementwiseName,
    Norm,
    Pool2d,
    Reduce,
    Softmax,
)
from hwmodels.workload.ops.products import Attention, Conv2d, ConvTranspose2d, Linear, MatMul, Recurrent
from hwmodels.workload.ops.row import Kind, Operator, Precision, Row, Shape
from hwmodels.workload.ops.shared import Shared

__all__ = [
    "Activation",
    "ActivationName",
    "Attention",
    "Cache",
    "Concat",
    "Constant",
    "Conv2d",
    "ConvTranspose2d",
    "Elementwise",
    "ElementwiseName",
    "Embedding",
    "Kind",
    "Linear",
    "MatMul",
    "Norm",
    "Operator",
    "Permute",
    "PixelShuffle",
    "Pool2d",
    "Precision",
    "Rearrange",
    "Recurrent",
    "Reduce",
    "Reshape",
    "Row",
    "Select",
    "Shape",
    "Shared",
    "Softmax",
    "Split",
    "Unknown",
    "Upsample",
    "View",
    "Zeros",
]
