"""Rules for recurrent layers: one `Recurrent` a layer and direction, a `Concat` where there are two directions.

The last states are views of the sequences. The projection of an LSTM with `proj_size` is a `Linear` over all steps.
Not modelled: packed sequences, which stay unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.ops import Concat, Linear, Recurrent, View

__all__ = ["RULES"]

Cell = Literal["lstm", "gru", "rnn"]


def _layer(cell: Cell) -> Rule:
    def rule(call: Call) -> Value | None:
        """(batch, time, features) through all layers and directions."""
        weights, both = call.args.get("params"), call.args.get("bidirectional")
        if weights is None or "batch_first" not in call.args or len(call.shape_of("input")) != 3:
            return None
        tensors = 4 if call.args["has_biases"] else 2
        directions = 2 if both else 1
        layers: int = call.args["num_layers"]
        passes_in_all = layers * directions
        tensors += cell == "lstm" and len(weights) == passes_in_all * (tensors + 1)
        if len(weights) != passes_in_all * tensors or not all(map(call.is_weight, weights)):
            return None
        x = call.tensor("input")
        x = x if call.args["batch_first"] else call.permute(x, (1, 0, 2))
        states = call.operands("hx") if _given(call) else []
        ends: list[str] = []
        for layer in range(layers):
            passes = []
            for direction in range(directions):
                at = (layer * directions + direction) * tensors
                part = f"l{layer}{'_reverse' if direction else ''}" if layers * directions > 1 else ""
                passes.append(_pass(call, cell, weights[at : at + tensors], x, states, part=part))
            ends.extend(passes)
            x = passes[0] if directions == 1 else call.add(Concat(2), *passes, part=f"l{layer}_concat")
        sequence = x if call.args["batch_first"] else call.permute(x, (1, 0, 2))
        last = [call.add(View(shape), *ends, part="state") for shape in call.shapes[1:] if shape is not None]
        return (sequence, *last)

    return rule


def _given(call: Call) -> bool:
    """Whether the first state is computed; zeros are no operand."""
    states = call.args["hx"] or []
    return not all(call.is_weight(state) for state in (states if isinstance(states, list) else [states]))


def _pass(call: Call, cell: Cell, weights: Sequence[Any], x: str, states: Sequence[str], *, part: str) -> str:
    """One direction of one layer."""
    is_projected = len(weights) in (3, 5)
    hidden = call.shape_of(weights[-1] if is_projected else weights[1])[1]
    stored = [call.claim(weight) for weight in weights]
    if not is_projected:
        operator = Recurrent(cell, hidden, bias=sum(stored[2:]) > 0)
        return call.place(operator, x, *states, parameters=sum(stored), part=part)
    fed_back = call.shape_of(weights[-1])[0]
    operator = Recurrent(cell, hidden, bias=sum(stored[2:-1]) > 0, fed_back=fed_back)
    sequence = call.place(operator, x, *states, parameters=sum(stored[:-1]), part=part)
    return call.place(Linear(fed_back, bias=False), sequence, parameters=stored[-1], part=f"{part}projection")


def _step(cell: Cell) -> Rule:
    def rule(call: Call) -> Value | None:
        """A cell is a layer of one time step; what a loop runs again shares its weights."""
        weights = [call.args[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh") if call.has(name)]
        source = call.tensor("input")
        shape = call.node_shape(source)
        if len(shape) != 2 or not all(map(call.is_weight, weights)):
            return None
        states = call.operands("hx") if _given(call) else []
        step = _pass(call, cell, weights, call.reshape(source, (shape[0], 1, shape[1])), states, part="")
        hidden = call.reshape(step, call.shape)
        return hidden if len(call.shapes) == 1 else (hidden, call.add(View(call.shape), hidden, part="state"))

    return rule


RULES: dict[str, Rule] = {
    "aten.lstm": _layer("lstm"),
    "aten.gru": _layer("gru"),
    "aten.rnn_tanh": _layer("rnn"),
    "aten.rnn_relu": _layer("rnn"),
    "aten.lstm_cell": _step("lstm"),
    "aten.gru_cell": _step("gru"),
    "aten.rnn_tanh_cell": _step("rnn"),
    "aten.rnn_relu_cell": _step("rnn"),
}
"""By operator, without overload."""
