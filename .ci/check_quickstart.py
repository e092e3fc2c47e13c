"""Does the output of the main job hold what the README promises? Exits 1 with the first promise that it breaks."""

import json
import subprocess
import sys
from pathlib import Path

folder = Path(sys.argv[1])
codesign = Path(sys.executable).with_name("codesign")
printed = subprocess.run([codesign, "report", folder, "--json"], check=True, capture_output=True, text=True).stdout
run = json.loads(printed)
front = run["front"]
accuracies = {round(pair["objectives"]["accuracy"], 6) for pair in front}
energies = {pair["objectives"]["energy_j"] for pair in front}
page = folder / "report.html"
promises = {
    "at least 100,000 pairs considered": run["considered"] >= 100_000,
    "every pair accounted for": run["considered"] == sum(run["pruned"].values()) + run["evaluated"] + run["deferred"],
    "at least 20 networks trained": run["trained"] >= 20,
    "a front of at least 5 pairs": len(front) >= 5,
    "accuracy varies along the front": len(accuracies) >= 3,
    "energy varies along the front": max(energies) > 1.2 * min(energies),
    "the page is there": page.is_file() and page.stat().st_size > 100_000,
    "both levels within 4 minutes": sum(run["seconds"].values()) <= 240,
}
for promise, kept in promises.items():
    print(f"{'ok    ' if kept else 'BROKEN'} {promise}")
print({k: run[k] for k in ("considered", "pruned", "evaluated", "deferred", "trained", "estimates", "seconds")})
sys.exit(0 if all(promises.values()) else 1)
