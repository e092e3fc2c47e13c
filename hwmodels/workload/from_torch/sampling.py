"""Rules for what looks elements up, orders them or spreads them: bags, resampling, sorting, indexed sums.

Resampling by two taps an axis and less is in `movement`, as in the zoo.
"""

from __future__ import annotations

from math import ceil, prod

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.ops import EmbeddingBag, MatMul, Rearrange, Resample, Scatter, Sort, View

__all__ = ["RULES"]


def _embedding_bag(call: Call) -> Value | None:
    """Look-ups and their reduction, a bag at a time; what is returned beside the result is a view of it."""
    if not call.is_weight("weight"):
        return None
    entries, features = call.shape_of("weight")
    inputs = [call.tensor("indices"), *call.operands("per_sample_weights")]
    bag = EmbeddingBag(entries, features, call.shape[0])
    result = call.place(bag, *inputs, parameters=call.claim("weight"))
    shapes = call.shapes[1:]
    others = (call.add(View(shape), result, part="beside") if shape and prod(shape) else None for shape in shapes)
    return (result, *others)


def _resample(what: str, taps_an_axis: int, *, antialiased: bool = False) -> Rule:
    def rule(call: Call) -> Value:
        """Taps along every axis; an antialiasing window widens as the map shrinks."""
        source = call.tensor("input" if "input" in call.args else "self")
        axes = list(zip(call.node_shape(source)[2:], call.shape[2:], strict=True))
        if all(extent == out for extent, out in axes):
            return source
        widths = [ceil(taps_an_axis * extent / out) if antialiased else taps_an_axis for extent, out in axes]
        return call.add(Resample(what, call.shape, prod(max(width, taps_an_axis) for width in widths)), source)

    return rule


def _grid_sample(call: Call) -> Value:
    """At computed points: 2 taps an axis, the nearest one, or 4."""
    taps_an_axis = (2, 1, 4)[call.args["interpolation_mode"]]
    source, grid = call.tensor("input"), call.tensor("grid")
    return call.add(Resample("grid_sample", call.shape, taps_an_axis ** (len(call.shape) - 2)), source, grid)


def _affine_grid(call: Call) -> Value:
    """Every point of a map times the matrix of an item."""
    batch, _, depth = call.shape_of("theta")
    points = prod(call.shape[1:-1])
    base = call.add(View((batch, points, depth)), part="points")
    return call.reshape(call.add(MatMul(), base, call.permute(call.tensor("theta"), (0, 2, 1))), call.shape)


def _sort(call: Call) -> Value:
    """Values and their places; along an axis, or of all elements."""
    source = call.tensor("self")
    shape = call.node_shape(source)
    axis = call.args.get("dim")
    extent = shape[axis] if axis is not None and shape else prod(shape)
    ordered = call.add(Sort(extent, call.shape), source)
    others = [call.view(ordered, other) for other in call.shapes[1:] if other is not None]
    return (ordered, *others) if len(call.shapes) > 1 else ordered


def _search(call: Call) -> Value:
    """The place of every value among ordered ones: log2 of their number comparisons each."""
    among = call.shape_of("boundaries" if "boundaries" in call.args else "sorted_sequence")
    return call.add(Sort(among[-1], call.shape), call.tensor("self"))


def _scatter(what: str) -> Rule:
    def rule(call: Call) -> Value:
        return call.add(Scatter(what, call.shape), *call.operands("self", "index", "src", "source"))

    return rule


def _copy(what: str) -> Rule:
    def rule(call: Call) -> Value:
        return call.add(Rearrange(what, call.shape), *call.operands("self", "indices"))

    return rule


def _meshgrid(call: Call) -> Value:
    """Broadcast views, one an operand along its own axis."""
    shapes = [shape for shape in call.shapes if shape is not None]
    swapped = call.args.get("indexing") == "xy" and len(shapes) > 1
    results = []
    for position, operand in enumerate(call.args["tensors"]):
        axis = 1 - position if swapped and position < 2 else position
        own = tuple(extent if at == axis else 1 for at, extent in enumerate(shapes[position]))
        results.append(call.view(call.reshape(call.tensor(operand), own), shapes[position]))
    return tuple(results)


RULES: dict[str, Rule] = {
    "aten.embedding_bag": _embedding_bag,
    "aten._embedding_bag": _embedding_bag,
    "aten.upsample_bicubic2d": _resample("bicubic", 4),
    "aten.upsample_trilinear3d": _resample("trilinear", 2),
    "aten.upsample_nearest3d": _resample("nearest", 1),
    "aten._upsample_nearest_exact3d": _resample("nearest", 1),
    "aten._upsample_bilinear2d_aa": _resample("bilinear", 2, antialiased=True),
    "aten._upsample_bicubic2d_aa": _resample("bicubic", 4, antialiased=True),
    "aten.grid_sampler": _grid_sample,
    "aten.grid_sampler_2d": _grid_sample,
    "aten.grid_sampler_3d": _grid_sample,
    "aten.affine_grid_generator": _affine_grid,
    **{
        f"aten.{name}": _sort
        for name in ("sort", "argsort", "msort", "topk", "kthvalue", "median", "nanmedian", "mode")
    },
    "aten.bucketize": _search,
    "aten.searchsorted": _search,
    "aten.col2im": _scatter("fold"),
    "aten.scatter_reduce": _scatter("scatter_reduce"),
    "aten.index_reduce": _scatter("index_reduce"),
    "aten.max_unpool2d": _copy("unpool"),
    "aten.max_unpool3d": _copy("unpool"),
    "aten.one_hot": _copy("one_hot"),
    "aten.meshgrid": _meshgrid,
}
"""By operator, without overload."""
