"""What a data set asks of a network: the shape of its answers, the metrics that judge them, and one error to minimise.

One file a task; none imports torch. The loss that a training descends stands in `codesign.estimate.losses`.
"""

from codesign.task.base import Better, Task, on_test
from codesign.task.classification import Classification
from codesign.task.language import Language
from codesign.task.regression import Regression
from codesign.task.segmentation import Segmentation
from codesign.task.super_resolution import SuperResolution

__all__ = [
    "Better",
    "Classification",
    "Language",
    "Regression",
    "Segmentation",
    "SuperResolution",
    "Task",
    "on_test",
]
