"""An installation that nobody may write to, and no home: what a container is. The quickstart runs there, shortened."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_SCRIPT = """
set -e
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
if touch "$1/written" 2>/dev/null; then echo "the mount is writable" >&2; exit 77; fi
cd /
exec env -i PATH=/usr/bin:/bin TMPDIR="$2" PYTHONPATH="$1" "$3" -c "from codesign.cli import main; main()" search \\
  "$1/examples/quickstart.yaml" -o "$2/run" \\
  --set generations=1 --set fast.pairs=1000 --set slow.trainings=1 --set executor.name=serial
"""


def _namespaces() -> bool:
    """Whether this host lets a process have mounts of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _namespaces(), reason="no mount namespaces here")
def test_the_quickstart_runs_from_a_read_only_installation_without_a_home(tmp_path: Path) -> None:
    command = ["unshare", "-rm", "sh", "-c", _SCRIPT, "sh", str(ROOT), str(tmp_path), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("a read-only mount is writable here")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "run" / "pareto.png").is_file()
