"""IR drop in closed form against Kirchhoff's laws, and where each cell lies in its array."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from codesign.estimate.wires import attenuated, wired
from hwmodels.numerics import Numerics

F64 = npt.NDArray[np.float64]


def nodal_outputs(conductance: F64, resistance: float, inputs: F64) -> F64:
    """Column currents (C, B) of an array (R, C) for row voltages (R, B), by Kirchhoff's current law at 2 R C nodes.

    Drivers stand before the first column, columns end in virtual ground at their first row.
    """
    rows, columns = conductance.shape
    row_node = np.arange(rows * columns).reshape(rows, columns)
    column_node, wire = row_node + rows * columns, 1 / resistance
    links = [
        (row_node.ravel(), column_node.ravel(), conductance.ravel()),
        (row_node[:, :-1].ravel(), row_node[:, 1:].ravel(), np.full(rows * (columns - 1), wire)),
        (column_node[:-1].ravel(), column_node[1:].ravel(), np.full((rows - 1) * columns, wire)),
    ]
    first, second, value = (np.concatenate(part) for part in zip(*links, strict=True))
    ends = np.concatenate([row_node[:, 0], column_node[0]])  # to a driver or to ground
    size = 2 * rows * columns
    at = (np.concatenate([first, second, first, second, ends]), np.concatenate([first, second, second, first, ends]))
    entries = np.concatenate([value, value, -value, -value, np.full(ends.size, wire)])
    source = np.zeros((size, inputs.shape[1]))
    source[row_node[:, 0]] = wire * inputs
    voltages = splu(coo_array((entries, at), shape=(size, size)).tocsc()).solve(source)
    return wire * voltages[column_node[0]]


def plain_attenuated(conductance: F64, resistance: float, first: int) -> F64:
    """The equation of the module, cell by cell."""
    out = np.empty_like(conductance)
    rows, columns = conductance.shape
    for i, j in np.ndindex(rows, columns):
        along_row = sum(min(j, k) * conductance[i, k - 1] for j in [j + 1] for k in range(1, columns + 1))
        along_column = sum(min(first + i + 1, first + k + 1) * conductance[k, j] for k in range(rows))
        out[i, j] = conductance[i, j] / (1 + resistance * (along_row + along_column))
    return out


def test_the_nodal_solve_obeys_ohm() -> None:
    """One cell behind two wires is three resistors in series; without resistance it is a matrix product."""
    current = nodal_outputs(np.array([[0.5]]), 0.25, np.array([[2.0]]))
    np.testing.assert_allclose(current, 2.0 / (2.0 + 2 * 0.25))
    generator = np.random.default_rng(0)
    conductance, inputs = generator.random((5, 3)), generator.random((5, 2))
    np.testing.assert_allclose(nodal_outputs(conductance, 1e-9, inputs), conductance.T @ inputs, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    resistance=st.floats(0, 0.1),
    first=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_the_closed_form_equals_its_equation(shape: tuple[int, int], resistance: float, first: int, seed: int) -> None:
    conductance = np.random.default_rng(seed).random(shape)
    seen = attenuated(torch.from_numpy(conductance), resistance, first=first).numpy()
    np.testing.assert_allclose(seen, plain_attenuated(conductance, resistance, first), rtol=1e-12)
    below = np.concatenate([np.zeros((first, shape[1])), conductance])
    in_place = attenuated(torch.from_numpy(below), resistance).numpy()[first:]
    np.testing.assert_allclose(seen, in_place, rtol=1e-12, err_msg="rows that are cut off are only wire")
    assert (seen <= conductance).all()
    assert (attenuated(torch.from_numpy(conductance), 2 * resistance, first=first).numpy() <= seen).all()


# Resistance, what the wires take of the mean output (%), and the error allowed (% of the mean output).
STATED = [
    (32, 1e-4, 4, 0.3), (32, 3e-4, 10, 0.3), (32, 1e-3, 27, 1.5),
    (64, 1e-4, 13, 0.3), (64, 3e-4, 31, 1.5), (64, 1e-3, 57, 5.0),
    (128, 3e-5, 15, 0.3), (128, 1e-4, 36, 1.5), (128, 3e-4, 62, 5.0),
]  # fmt: skip


@pytest.mark.parametrize(("size", "resistance", "drop", "allowed"), STATED)
def test_the_closed_form_is_as_close_to_a_nodal_solve_as_stated(
    size: int, resistance: float, drop: float, allowed: float
) -> None:
    generator = np.random.default_rng(size)
    conductance = generator.integers(0, 4, (size, size)) / 3
    inputs = (generator.random((size, 16)) < 0.5).astype(np.float64)
    solved = nodal_outputs(conductance, resistance, inputs)
    seen = attenuated(torch.from_numpy(conductance), resistance).numpy()
    by_mean = conductance / (1 + resistance * conductance.mean() * (size + 1))

    def error(effective: F64) -> float:
        return float(100 * np.sqrt(np.mean((effective.T @ inputs - solved) ** 2)) / solved.mean())

    assert 100 * (1 - solved.sum() / (conductance.T @ inputs).sum()) == pytest.approx(drop, abs=2)
    assert error(seen) <= allowed
    assert error(by_mean) > 10 * error(seen), "the proxy without positions"


@pytest.mark.parametrize(("array_cols", "array_rows"), [(0, 0), (8, 12), (9, 12), (3, 12), (64, 0)])
@pytest.mark.parametrize("units", [0, 1])
def test_every_cell_is_seen_through_the_wires_of_its_own_array(array_cols: int, array_rows: int, units: int) -> None:
    """3 outputs of 4 columns in arrays of `array_cols`, 20 rows read 5 at a time."""
    columns, outputs, rows = 4, 3, 20
    numerics = Numerics(8, 8, 2, 1, 5, 8, array_rows=array_rows, array_cols=array_cols, wire_resistance=0.01)
    cells = torch.rand(2, rows, columns * outputs + units, generator=torch.Generator().manual_seed(1)) * 3
    seen = wired(
        cells, numerics, columns=columns, outputs=outputs, rows_a_read=[5, 5, 2, 5, 3] if array_rows else [5] * 4
    )
    an_array = max(1, array_cols // columns) if array_cols else outputs
    bounds = [0, 5, 10, 12, 17, 20] if array_rows else [0, 5, 10, 15, 20]
    for group in range(2):
        for low, high in pairwise(bounds):
            for start in range(0, outputs, an_array):
                held = [n for n in range(start, start + an_array) if n < outputs]
                order = [c * outputs + n for n in held for c in range(columns)]
                empty = np.zeros((high - low, (an_array - len(held)) * columns))
                unit = cells[group, low:high, columns * outputs :].numpy()
                laid = np.concatenate([cells[group, low:high][:, order].numpy(), empty, unit], axis=1) / 3
                first = low % array_rows if array_rows else 0
                expected = 3 * plain_attenuated(laid.astype(np.float64), 0.01, first)
                np.testing.assert_allclose(seen[group, low:high][:, order], expected[:, : len(order)], rtol=1e-5)
                if start == 0 and units:
                    np.testing.assert_allclose(seen[group, low:high, -1], expected[:, -1], rtol=1e-5)
