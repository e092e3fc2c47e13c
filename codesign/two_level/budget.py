"""The budget of a search: how much each level may do in how many generations."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """How much each level may do.

    generations : batches. pairs : pairs a batch. trainings : networks trained a batch.
    classes : numerics evaluated a network and batch. audits : pairs a batch that are evaluated though aggressive
    pruning guessed them away. selection : `surrogate`, `stratified` or `random` choice, that of the `strategy`, or
    `all`, where an estimate costs nothing. enough : pairs on the front after which no further batch begins; 0 goes on.
    """

    generations: int
    pairs: int
    trainings: int
    classes: int
    audits: int = 0
    selection: str = "stratified"
    enough: int = 0
