"""One instruction set for every training, so that processors of different makers and years give the same weights.

Sums in another order differ in their last bits, and a training amplifies them: with AVX-512 a network ends with other
weights than with AVX2. Torch's own kernels, oneDNN and MKL each read an environment variable when they are first used,
so a process is pinned before it imports torch. Processors without AVX2 are left as they are.

Not covered: other versions of torch, and accelerators.
"""

from __future__ import annotations

import os
import sys

__all__ = ["pin_instruction_set", "pinned_environment"]

_PINNED = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def pinned_environment() -> dict[str, str]:
    """Variables that pin a process which has not imported torch yet; none where the processor lacks AVX2."""
    from llvmlite.binding import get_host_cpu_features

    return _PINNED if get_host_cpu_features().get("avx2") else {}


def pin_instruction_set() -> bool:
    """Pin this process; returns whether its trainings are portable.

    False where torch is already loaded under another instruction set: it has chosen its kernels by then.
    """
    wanted = pinned_environment()
    if "torch" in sys.modules and any(os.environ.get(name) != value for name, value in wanted.items()):
        return False
    os.environ.update(wanted)
    return True
