"""A Gaussian process learns the errors of classes: choices, arithmetic, sizes."""

from __future__ import annotations

import numpy as np

from codesign.two_level.error_model import features, fitted_errors


def test_squared_distance_counts_choices_arithmetic_and_half_the_square_of_a_ratio_of_sizes():
    genotypes = np.array([[0, 1], [1, 2], [0, 1], [0, 1]])
    sizes = np.array([[0.0], [0.0], [0.0], [np.e - 1.0]])
    rows = features(genotypes, np.array([2, 3]), sizes, np.array([0, 0, 1, 0]), 2)
    assert rows.shape == (4, 1 + 2 + 2 + 3)
    distances = ((rows[0] - rows) ** 2).sum(axis=1)
    np.testing.assert_allclose(distances, [0.0, 2.0, 1.0, 0.5])


def _chosen(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(3, size=(count, 4))


def _rows(genotypes: np.ndarray) -> np.ndarray:
    none = np.zeros(len(genotypes), np.int64)
    return features(genotypes, np.full(4, 3), np.zeros((len(genotypes), 1)), none, 1)


def test_unseen_errors_are_ranked_and_known_ones_are_certain():
    rng = np.random.default_rng(0)
    seen, asked = _chosen(rng, 40), _chosen(rng, 40)
    predict = fitted_errors(_rows(seen), 0.5 - 0.05 * seen.sum(axis=1))
    mean, deviation = predict(_rows(asked))
    assert np.corrcoef(mean, 0.5 - 0.05 * asked.sum(axis=1))[0, 1] > 0.9
    known_mean, known_deviation = predict(_rows(seen))
    np.testing.assert_allclose(known_mean, 0.5 - 0.05 * seen.sum(axis=1), atol=0.01)
    assert known_deviation.max() < deviation.max()
    assert known_deviation.max() < 0.2 * (0.05 * seen.sum(axis=1)).std()


def test_blocks_of_a_prediction_are_one_and_equal_errors_are_predicted():
    seen = _chosen(np.random.default_rng(1), 10)
    mean, deviation = fitted_errors(_rows(seen), np.full(10, 0.3))(_rows(np.repeat(seen, 500, axis=0)))
    np.testing.assert_allclose(mean, 0.3)
    assert (deviation < 1.0).all()
    assert np.array_equal(mean.reshape(10, 500)[:, 0], mean.reshape(10, 500)[:, 499])
