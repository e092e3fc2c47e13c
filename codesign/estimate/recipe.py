"""How a network is trained, as a record that needs no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hwmodels.errors import SpecError

__all__ = ["Augmentation", "Axis", "NoiseRecipe", "Recipe", "Stopping"]

Augmentation = Literal["none", "shift", "flip", "shift_flip", "cutout"]
"""What becomes of training images (`codesign.estimate.augmentation`)."""

Axis = Literal["data", "epochs", "resolution", "width"]
"""What a fidelity below 1 scales (`codesign.estimate.fidelity`)."""


class NoiseRecipe(BaseModel):
    """What training pretends the hardware does to products (`codesign.estimate.noise`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_sigma: float = Field(0.05, ge=0, le=1, description="deviation, relative to the largest weight of an output")
    adc_bits: int | None = Field(None, ge=2, le=14, description="rounding of partial sums; none where it is not given")
    active_rows: int = Field(128, ge=1, le=1024, description="rows of a partial sum")


class Stopping(BaseModel):
    """When a training ends before its last epoch (`codesign.estimate.stopping`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    error: float = Field(
        gt=0, description="what a training is to beat on the validation split, in float", examples=[0.1]
    )
    chance: float = Field(0.05, gt=0, lt=1, description="of beating it, below which the training ends")


class Recipe(BaseModel):
    """How a network is trained; part of the training's key.

    Defaults: chosen on the validation split of digits for small convolutional networks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(8, ge=1, le=100_000, description="passes over the training split at fidelity 1")
    batch_size: int = Field(32, ge=2, le=1_000_000, description="images a step")
    optimiser: Literal["adamw", "sgd"] = Field("adamw", description="AdamW, or SGD with Nesterov momentum")
    learning_rate: float = Field(1e-2, gt=0, le=1e30, description="peak, after warm-up")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD only")
    weight_decay: float = Field(
        1e-2, ge=0, le=1e6, description="on weights of two or more axes; biases and gains have none"
    )
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="share of a label that goes to all classes")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    noise: NoiseRecipe | None = Field(None, description="noise-aware training; none trains in plain floating point")
    stopping: Stopping | None = Field(None, description="early stopping; none trains to the last epoch")
    augmentation: Augmentation = Field("none", description="what becomes of training images, anew in every epoch")

    def content(self) -> dict[str, Any]:
        """What the key of a training holds of it; a setting that joined later counts where it is not at its default."""
        settings = self.model_dump(exclude_none=self.noise is None)
        if self.stopping is None:
            settings.pop("stopping", None)
        if self.augmentation == "none":
            settings.pop("augmentation")
        return settings

    def epochs_at(self, fidelity: float) -> int:
        """Epochs that a fidelity in (0, 1] buys: at least one."""
        if not 0 < fidelity <= 1:
            raise SpecError("fidelity", fidelity, "in (0, 1]")
        return max(1, round(self.epochs * fidelity))
