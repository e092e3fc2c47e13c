"""The joint space: a network and the hardware it runs on, side by side in one integer vector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Genotypes, Space
from codesign.space.hardware import HardwareSpace

__all__ = ["JointSpace"]


class JointSpace(Space):
    """Genes of the architecture first, then those of the hardware."""

    def __init__(self, architecture: ArchitectureSpace, hardware: HardwareSpace) -> None:
        super().__init__([*architecture.genes, *hardware.genes])
        self.architecture, self.hardware = architecture, hardware

    @property
    def choice_stages(self) -> npt.NDArray[np.int64]:
        return np.concatenate([self.architecture.choice_stages, self.hardware.choice_stages])

    def split(self, genotypes: Genotypes) -> tuple[Genotypes, Genotypes]:
        """Architecture and hardware parts, (P, Ga) and (P, Gh)."""
        cut = self.architecture.n_genes
        return genotypes[:, :cut], genotypes[:, cut:]

    def join(self, architecture: Genotypes, hardware: Genotypes) -> Genotypes:
        return np.concatenate([architecture, hardware], axis=1)

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        network, device = self.split(genotypes)
        return self.architecture.valid(network) & self.hardware.valid(device)

    def sample(self, n: int, rng: np.random.Generator) -> Genotypes:
        if not self.architecture.draws_itself:
            return super().sample(n, rng)
        return self.join(self.architecture.sample(n, rng), self.hardware.sample(n, rng))

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        network, device = self.split(genotypes)
        return self.join(self.architecture.canonical(network), self.hardware.canonical(device))
