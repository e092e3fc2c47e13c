"""Cores by name: what a Cortex-A76 or a Zen 3 brings to a device, whoever built it, and a device from a sentence.

`clusters_of("... (Cortex-A76 2.4GHz x 4)")` reads the clusters of cores out of a benchmark's description, `spec_of`
puts them together. The figures are the makers' optimisation guides and public tables, recalled and not re-read: lanes
times units times two is the FLOP a cycle of a core. A core whose vector unit the runtimes of the tables do not use
has 32 bits here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.units import GB, GHZ, KIB, MHZ, MIB

__all__ = ["CORES", "Cluster", "Core", "clusters_of", "spec_of"]


class Core(NamedTuple):
    """One core. int8_rate, half_rate : over its 32-bit multiply-adds. l2_bytes : its own, or its share."""

    simd_bits: int
    fma_units: float
    fma_latency_cycles: float
    half_rate: float
    int8_rate: float
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    core_dram_bytes_per_s: float
    tile_rows: int = 8
    tile_vectors: int = 2
    l1_bytes_per_cycle: float = 32.0
    l2_bytes_per_cycle: float = 12.0


class Cluster(NamedTuple):
    """Equal cores at one clock."""

    core: str
    clock_hz: float
    cores: int


def _arm(units: float, l1: int, l2: int, l3: int, dram: float, *, latency: float = 4.0, dot: bool = True,
         load: float = 32.0) -> Core:  # fmt: skip
    """A 128-bit Arm core; with the dot product come 16-bit floats. l1, l2 in KiB, l3 in MiB, dram in GB/s."""
    return Core(128, units, latency, 2.0 if dot else 1.0, 4.0 if dot else 1.5, l1 * KIB, l2 * KIB, l3 * MIB, dram * GB,
                l1_bytes_per_cycle=load, l2_bytes_per_cycle=load * 0.4)  # fmt: skip


CORES: dict[str, Core] = {
    "Cortex-A5": _arm(0.25, 32, 128, 0, 0.7, latency=5, dot=False, load=8),
    "Cortex-A7": _arm(0.25, 32, 128, 0, 1.0, latency=5, dot=False, load=8),
    "Cortex-A9": _arm(0.5, 32, 256, 0, 1.0, latency=5, dot=False, load=8),
    "Cortex-A17": _arm(0.75, 32, 256, 0, 2.5, latency=5, dot=False, load=16),
    "Cortex-A53": _arm(1.0, 32, 128, 0, 2.0, dot=False, load=8),
    "Cortex-A55": _arm(1.0, 32, 128, 1, 3.0, load=16),
    "Cortex-A57": _arm(1.0, 32, 512, 0, 4.0, latency=5, dot=False, load=16),
    "Cortex-A72": _arm(1.0, 32, 256, 0, 4.5, latency=5, dot=False, load=16),
    "Cortex-A73": _arm(1.0, 64, 512, 0, 6.0, latency=5, dot=False),
    "Cortex-A75": _arm(1.5, 64, 256, 2, 9.0),
    "Cortex-A76": _arm(2.0, 64, 512, 2, 9.0),
    "Cortex-A77": _arm(2.0, 64, 512, 4, 11.0),
    "Cortex-A78": _arm(2.0, 64, 512, 4, 12.0),
    "Cortex-A510": _arm(1.0, 32, 128, 4, 5.0, load=16),
    "Cortex-A520": _arm(1.0, 32, 128, 4, 5.0, load=16),
    "Cortex-A710": _arm(2.0, 64, 512, 8, 14.0),
    "Cortex-A715": _arm(2.0, 64, 512, 8, 15.0),
    "Cortex-A720": _arm(2.0, 64, 512, 8, 15.0),
    "Cortex-X1": _arm(4.0, 64, 1024, 4, 18.0, load=48),
    "Cortex-X3": _arm(4.0, 64, 1024, 8, 22.0, load=48),
    "Kryo": _arm(1.0, 32, 512, 0, 6.0, latency=5, dot=False),
    "Mongoose": _arm(1.0, 32, 512, 0, 6.0, latency=5, dot=False),
    "Denver 2": _arm(2.0, 64, 1024, 0, 8.0, latency=5, dot=False),
    "Cyclone": _arm(2.0, 64, 512, 4, 6.0, latency=5, dot=False),
    "Monsoon": _arm(3.0, 64, 4096, 0, 12.0, dot=False, load=48),
    "Firestorm": _arm(4.0, 128, 4096, 8, 30.0, load=48),
    "Everest": _arm(4.0, 128, 4096, 8, 40.0, load=48),
    "TaiShan v110": _arm(2.0, 64, 512, 24, 9.0, latency=5),
    "FTC66x": _arm(1.0, 32, 512, 0, 5.0, latency=5, dot=False, load=16),
    "FTC310": _arm(1.0, 32, 128, 0, 2.0, dot=False, load=8),
    "Carmel": _arm(2.0, 64, 1024, 4, 10.0),
    "Cortex-M4": Core(32, 0.33, 1, 1, 3, 640 * KIB, 0, 0, 0.4 * GB, 2, 2, 4, 4),
    "Cortex-M33": Core(32, 0.4, 1, 1, 3, 640 * KIB, 0, 0, 0.6 * GB, 2, 2, 4, 4),
    "Cortex-M7": Core(32, 0.5, 1, 1, 3.6, 16 * KIB, 0, 0, 2 * GB, 2, 2, 8, 8),
    "Haswell": Core(256, 2, 5, 1, 1.5, 32 * KIB, 256 * KIB, 8 * MIB, 10 * GB, 6, 2, 64, 24),
    "Skylake": Core(256, 2, 4, 1, 1.5, 32 * KIB, 256 * KIB, 8 * MIB, 12 * GB, 6, 2, 64, 28),
    "Skylake-SP": Core(512, 2, 4, 1, 1.5, 32 * KIB, 1024 * KIB, 24 * MIB, 10 * GB, 14, 2, 64, 24),
    "Skylake-SP one FMA": Core(512, 1, 4, 1, 1.5, 32 * KIB, 1024 * KIB, 14 * MIB, 10 * GB, 14, 2, 64, 24),
    "Cascade Lake": Core(512, 2, 4, 1, 4, 32 * KIB, 1024 * KIB, 24 * MIB, 10 * GB, 14, 2, 64, 24),
    "Tiger Lake": Core(512, 1, 4, 1, 4, 48 * KIB, 1280 * KIB, 24 * MIB, 15 * GB, 14, 2, 64, 28),
    "Golden Cove": Core(256, 2, 4, 1, 4, 48 * KIB, 1280 * KIB, 24 * MIB, 20 * GB, 6, 2, 64, 32),
    "Emerald Rapids": Core(512, 2, 4, 1, 4, 48 * KIB, 2048 * KIB, 64 * MIB, 12 * GB, 14, 2, 64, 32),
    "Yonah": Core(128, 0.5, 5, 1, 1.5, 32 * KIB, 1024 * KIB, 0, 2 * GB, 4, 2, 16, 8),
    "Silvermont": Core(128, 0.5, 5, 1, 1.5, 24 * KIB, 512 * KIB, 0, 3 * GB, 4, 2, 16, 8),
    "Knights Corner": Core(32, 0.5, 4, 1, 1, 32 * KIB, 512 * KIB, 0, 3 * GB, 4, 4, 16, 8),
    "Zen 2": Core(256, 2, 5, 1, 1.5, 32 * KIB, 512 * KIB, 16 * MIB, 18 * GB, 6, 2, 64, 28),
    "Zen 3": Core(256, 2, 4, 1, 1.5, 32 * KIB, 512 * KIB, 32 * MIB, 20 * GB, 6, 2, 64, 28),
    "Zen 5": Core(512, 2, 4, 1, 4, 48 * KIB, 1024 * KIB, 32 * MIB, 25 * GB, 14, 2, 128, 48),
    "GS464E": Core(32, 1, 5, 1, 1, 64 * KIB, 256 * KIB, 4 * MIB, 3 * GB, 4, 4, 8, 8),
    "GS464V": Core(128, 2, 5, 1, 1.5, 64 * KIB, 256 * KIB, 4 * MIB, 4 * GB, 8, 2, 32, 8),
    "GS264": Core(64, 1, 5, 1, 1, 32 * KIB, 256 * KIB, 0, 1 * GB, 4, 4, 8, 4),
    "LA264": Core(128, 0.5, 5, 1, 1.5, 32 * KIB, 512 * KIB, 0, 1.5 * GB, 8, 2, 16, 8),
    "LA364": Core(128, 2, 5, 1, 1.5, 64 * KIB, 512 * KIB, 2 * MIB, 4 * GB, 8, 2, 32, 12),
    "LA664": Core(256, 2, 5, 1, 1.5, 64 * KIB, 256 * KIB, 16 * MIB, 10 * GB, 6, 2, 64, 24),
    "C910": Core(32, 1, 5, 1, 1, 64 * KIB, 256 * KIB, 0, 3 * GB, 4, 4, 16, 8),
    "C906": Core(128, 0.5, 5, 2, 1, 32 * KIB, 128 * KIB, 0, 1 * GB, 8, 2, 8, 4),
    "X60": Core(32, 1, 5, 1, 1, 32 * KIB, 128 * KIB, 0, 3 * GB, 4, 4, 16, 8),
    "SW64": Core(32, 0.5, 5, 1, 1, 32 * KIB, 512 * KIB, 0, 4 * GB, 4, 4, 16, 8),
}

# Peak memory bandwidth of the boards that such cores come on, GB/s, where a description tells nothing: one or two
# channels on small boards, four on phones, eight on servers [makers' pages, recalled].
_BOARD_GB_PER_S = {
    "Cortex-A5": 4.3, "Cortex-A7": 4.3, "Cortex-A9": 4.3, "Cortex-A17": 12.8, "Cortex-A53": 7.5, "Cortex-A55": 12.8,
    "Cortex-A57": 25.6, "Cortex-A72": 12.8, "Cortex-A73": 29.8, "Cortex-A75": 29.9, "Cortex-A76": 25.6,
    "Cortex-A77": 34.1, "Cortex-A78": 51.2, "Cortex-A710": 64.0, "Cortex-A715": 67.0, "Cortex-A720": 67.0,
    "Cortex-X1": 51.2, "Cortex-X3": 67.0, "Kryo": 29.8, "Mongoose": 28.7, "Denver 2": 51.2, "Cyclone": 12.8,
    "Monsoon": 34.1, "Firestorm": 68.3, "Everest": 102.0, "TaiShan v110": 170.0, "FTC66x": 38.4, "Haswell": 25.6,
    "Skylake": 38.4, "Skylake-SP": 115.0, "Skylake-SP one FMA": 115.0, "Cascade Lake": 140.8, "Tiger Lake": 51.2,
    "Golden Cove": 76.8, "Emerald Rapids": 300.0, "Yonah": 5.3, "Silvermont": 12.8, "Knights Corner": 240.0,
    "Zen 2": 102.0, "Zen 3": 51.2, "Zen 5": 400.0, "GS464E": 12.8, "GS464V": 25.6, "GS264": 6.4, "LA264": 12.8,
    "LA364": 19.2, "LA664": 51.2, "C910": 17.0, "C906": 4.3, "X60": 10.7, "SW64": 34.0,
}  # fmt: skip

# What benchmarks call a core, in the order of the search: the first pattern that is found decides.
_CALLED = (
    (r"Cortex.?\s?(A5|A7|A9|A17|A53|A55|A57|A72|A73|A75|A76|A77|A78|A510|A520|A710|A715|A720|X1|X3)(?:AE|C)?(?![0-9])",
     r"Cortex-\1"),
    (r"Quad Core (A\d+)", r"Cortex-\1"),
    (r"Snapdragon 8 Gen 2", "Cortex-X3"), (r"Snapdragon 8\+? Gen 1", "Cortex-X3"), (r"Snapdragon 888", "Cortex-X1"),
    (r"Snapdragon 865|Snapdragon 870", "Cortex-A77"),
    (r"Snapdragon (?:855|765G?|675|730G?|750G|712)|Ky?ry?o ?(?:485|460|475|470)|Kyro485", "Cortex-A76"),
    (r"Snapdragon 845|Snapdragon 710|Ky?ry?o ?385", "Cortex-A75"),
    (r"Snapdragon (?:835|660|636)|Ky?ry?o ?2[86]0", "Cortex-A73"), (r"Snapdragon (?:820|821)", "Kryo"),
    (r"Jetson Nano", "Cortex-A57"), (r"Denver2", "Denver 2"),
    (r"BCM2712", "Cortex-A76"), (r"Apple A7", "Cyclone"), (r"Apple M1|\bM1\b(?! \()", "Firestorm"),
    (r"\bM[23]\b", "Everest"),
    (r"Kun[Pp]eng ?920|TaiShan", "TaiShan v110"), (r"FTC66[1-4]", "FTC66x"), (r"Phytium", "FTC66x"),
    (r"Zen5|D64as v7", "Zen 5"), (r"Zen3|Ryzen 5700", "Zen 3"), (r"Zen2|3970X", "Zen 2"),
    (r"D64s v6", "Emerald Rapids"), (r"c5\.", "Skylake-SP"), (r"i[357]-11\d\d\d", "Tiger Lake"),
    (r"i[3579]-1[234]\d\d\d", "Golden Cove"),
    (r"i[3579]-(?:[6789]|10)\d\d\d|2\.6GHz six cores", "Skylake"), (r"E5-26\d\d v[34]|i[357]-[45]\d\d\d", "Haswell"),
    (r"Celeron M", "Yonah"), (r"Atom x5|J19\d\d", "Silvermont"), (r"Xeon Phi 31", "Knights Corner"),
    (r"GS464E", "GS464E"), (r"GS464V", "GS464V"), (r"GS264", "GS264"), (r"LA264", "LA264"), (r"LA364", "LA364"),
    (r"LA664|LA464", "LA664"), (r"C910", "C910"), (r"C906", "C906"), (r"X60", "X60"), (r"sw_64", "SW64"),
)  # fmt: skip
_CLOCK = re.compile(r"(\d+(?:\.\d+)?)\s?([GM])[Hh]z(?:\s?~\s?(\d+(?:\.\d+)?)\s?GHz)?(?:\s?[x×*]\s?(\d+))?")
_COUNT_AFTER = re.compile(r"[x×*]\s?(\d+)")
_COUNT_BEFORE = re.compile(r"(\d+) × |(Quad) Core")
# The slow cluster beside a Snapdragon's fast one, which descriptions call by the same name.
_LITTLE = {
    "Cortex-A73": "Cortex-A53", "Cortex-A75": "Cortex-A55", "Cortex-A76": "Cortex-A55", "Cortex-A77": "Cortex-A55",
    "Cortex-X1": "Cortex-A55", "Cortex-X3": "Cortex-A510",
}  # fmt: skip
# Clock and cores of descriptions that tell neither [makers' pages, recalled].
_UNTOLD = {
    "Jetson Nano": (1.43, 4), "Atom x5-Z8350": (1.92, 4), "D64s v6": (3.0, 32), "D64as v7": (4.0, 32),
    "KunPeng 920 3211K": (2.6, 24), "Kunpeng 920 7260": (2.6, 64), "c5.4xlarge": (3.4, 8), "i7-11800H": (4.6, 8),
    "i7-7700K": (4.5, 4), "M3, 2024": (4.05, 4), "Xeon Phi 3120A": (1.1, 57), "Cortex-A720": (2.6, 4),
    "Spacemit M1": (1.6, 8), "Overclock to 2.9Ghz": (2.9, 4),
}  # fmt: skip


def clusters_of(text: str) -> list[Cluster]:
    """The clusters of cores that a benchmark's description names, as written; empty where it names no known core.

    >>> clusters_of("Rockchip RK3399 (Cortex-A72 1.8GHz x 2 + Cortex-A53 1.5GHz x 4)")[1]
    Cluster(core='Cortex-A53', clock_hz=1500000000.0, cores=4)
    """
    for told, (ghz, count) in _UNTOLD.items():
        if told in text and (named := _called(text)):
            return [Cluster(named, ghz * GHZ, count)]
    found, core = [], _called(text)
    for part in re.split(r"\s\+\s|&&|\+ (?=\d)|, VideoCore", text):
        core = _called(part) or core
        clock = _CLOCK.search(part)
        if (
            core is None
            or clock is None
            or re.search(r"Adreno|Mali|GPU|Radeon|VideoCore|Ampere", part[: clock.start()])
        ):
            continue
        hertz = float(clock[3]) * GHZ if clock[3] else float(clock[1]) * (GHZ if clock[2] == "G" else MHZ)
        counted, before = _COUNT_AFTER.search(part), _COUNT_BEFORE.search(part)
        cores = int(counted[1]) if counted else 4 if before and before[2] else int(before[1]) if before else 1
        found.append(Cluster(core, hertz, cores))
    found.sort(key=lambda cluster: -CORES[cluster.core].fma_units * cluster.clock_hz)
    if "Snapdragon" in text and len(found) > 1 and found[-1].core in _LITTLE:
        found[-1] = found[-1]._replace(core=_LITTLE[found[-1].core])
    return found


def _called(text: str) -> str | None:
    """The core that a text names first in the order of `_CALLED`."""
    for pattern, name in _CALLED:
        match = re.search(pattern, text)
        if match:
            return match.expand(name) if "\\" in name else name
    return None


def spec_of(clusters: list[Cluster], *, threads: int, little_only: bool = False) -> CpuSpec:
    """A device of these clusters with `threads` at work; the first cluster is the fast one.

    A single prime core before equal cores sets the one-core clock. `little_only` runs on the last cluster.
    """
    used = clusters[-1:] if little_only else clusters
    fast, core = used[0], CORES[used[0].core]
    same = [cluster for cluster in used if CORES[cluster.core] == core]
    fast_cores = sum(cluster.cores for cluster in same)
    slow = [cluster for cluster in used if CORES[cluster.core] != core]
    peak = {cluster: CORES[cluster.core].fma_units * cluster.clock_hz for cluster in used}
    slow_speed = min((peak[cluster] for cluster in slow), default=peak[fast]) / peak[fast]
    return CpuSpec(
        big_cores=fast_cores,
        little_cores=sum(cluster.cores for cluster in slow),
        little_speed=min(max(slow_speed, 0.05), 1.0),
        clock_hz=fast.clock_hz,
        all_core_clock_hz=min(cluster.clock_hz for cluster in same),
        threads=threads,
        dram_bytes_per_s=_BOARD_GB_PER_S.get(fast.core, 12.8) * GB,
        **{name: value for name, value in core._asdict().items() if name in CpuSpec.model_fields},
    )
