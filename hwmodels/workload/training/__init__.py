"""One step of training as a network of its own: forward, backward and update, costed by any family.

`step` puts it together and counts its memory, `backward` sends gradients through a graph, `gradients` says what the
backward pass of one operator is, `recompute` what is dropped and made again.
"""

from hwmodels.workload.training.recompute import RECOMPUTE, Recompute
from hwmodels.workload.training.step import OPTIMISERS, Optimiser, TrainingMemory, TrainingStep, training_step

__all__ = ["OPTIMISERS", "RECOMPUTE", "Optimiser", "Recompute", "TrainingMemory", "TrainingStep", "training_step"]
