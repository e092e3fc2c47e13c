"""What holds for every test: the instruction set of trainings, and that reference files which are there are used."""

from __future__ import annotations

import os

import pytest

from codesign.executor.portable import pinned_environment
from hwmodels.validate import REFERENCE_VARIABLE

# Trainings of the tests run under the instruction set that runs have by default; a variable that is set wins.
for _name, _value in pinned_environment().items():
    os.environ.setdefault(_name, _value)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With the reference folder at hand, a test that was skipped for want of it fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get(REFERENCE_VARIABLE):
        return
    missed = [skip.nodeid for skip in reporter.stats.get("skipped", []) if REFERENCE_VARIABLE in str(skip.longrepr)]
    if missed:
        reporter.write_line(f"skipped though {REFERENCE_VARIABLE} is set: {', '.join(missed)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
