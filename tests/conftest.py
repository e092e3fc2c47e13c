"""Trainings of the tests run under the instruction set that runs have by default, on any processor."""

from __future__ import annotations

import os

from codesign.executor.portable import pinned_environment

for _name, _value in pinned_environment().items():
    os.environ.setdefault(_name, _value)
