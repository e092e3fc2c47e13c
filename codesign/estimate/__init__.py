"""How good a network is, on given arithmetic: training, quantisation, analog crossbars."""

from codesign.estimate.base import Estimate, Estimator, MemoryWeights, Weights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.train import Recipe

__all__ = ["Estimate", "Estimator", "MemoryWeights", "Recipe", "TrainingEstimator", "Weights"]
