"""One run file for hardware of several families: a run for each, in turn, and one front of all of them.

`hardware:` is a list of sections; everything else holds for all. Each run is what its section alone would give, to the
bit: nothing is learned from one family for another. Trainings that a run before has made are taken from it. The folder
holds a folder for each run, named after its family, and what was asked for, so that it goes on wherever it was stopped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.app.config import default_objectives, parse_config, read_run_file
from codesign.app.run import Run, prepare, reopen
from codesign.store import check_run_folder
from hwmodels.catalog import device
from hwmodels.documents import read_text
from hwmodels.errors import SpecError
from hwmodels.files import make_folder, strict_json, write_text

if TYPE_CHECKING:
    from codesign.report.union import Union
    from codesign.two_level.loop import Event

__all__ = [
    "FAMILIES_FILE",
    "FamilyRuns",
    "begin_families",
    "family_contents",
    "of_families",
    "reopen_families",
    "run_folders",
    "search_families",
]

FAMILIES_FILE = "families.json"


class FamilyRuns:
    """The runs of a folder by name, none of which has begun or some of which have."""

    def __init__(self, folder: Path, runs: Mapping[str, Run]) -> None:
        self.folder, self.runs = folder, dict(runs)

    def in_turn(self) -> Iterator[tuple[str, Run]]:
        """Each run with those before it as its lenders."""
        before: list[Run] = []
        for name, run in self.runs.items():
            run.store.borrow(*(other.store for other in before))
            before.append(run)
            yield name, run

    def go(self, report: Callable[[str, Event], None] = lambda name, event: None) -> None:
        """Run all of them to their ends; interrupt at will."""
        for name, run in self.in_turn():
            run.go(lambda event, name=name: report(name, event))  # type: ignore[misc]

    def close(self) -> None:
        for run in self.runs.values():
            run.store.close()


def of_families(content: Any) -> bool:
    """Whether a run file asks for hardware of several families."""
    return isinstance(content, Mapping) and isinstance(content.get("hardware"), list)


def family_contents(content: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The content of a run file for each section of its hardware, by family; families that come twice are numbered.

    Without objectives those count that every family minimises by default.

    Raises
    ------
    SpecError : fewer than two sections, one without a device, an unknown device, or families without a common cost.
    """
    sections = content["hardware"]
    if len(sections) < 2:
        raise SpecError(f"{where}: hardware", f"a list of {len(sections)}", "one section, or a list of several")
    families = [_family(section, f"{where}: hardware[{i}]") for i, section in enumerate(sections)]
    told = content.get("objectives")
    defaults = [default_objectives(section) for section in sections]
    shared = told or [name for name in defaults[0] if all(name in others for others in defaults[1:])]
    if not shared:
        listed = "; ".join(f"{name}: {', '.join(own)}" for name, own in zip(families, defaults, strict=True))
        raise SpecError(f"{where}: objectives", "nothing", "named, since the families share no default", listed)
    times, numbers = Counter(families), Counter[str]()
    found = {}
    for family, section in zip(families, sections, strict=True):
        numbers[family] += 1
        name = family if times[family] == 1 else f"{family}-{numbers[family]}"
        found[name] = {**content, "hardware": section, "objectives": shared}
    return found


def _family(section: Any, where: str) -> str:
    """The family of a section's device, of the first one where it names several."""
    named = section.get("device") if isinstance(section, Mapping) else None
    first = named[0] if isinstance(named, list) and named else named
    if not isinstance(first, str):
        raise SpecError(where, section, "a section with a device")
    return device(first).model.name


def begin_families(content: Mapping[str, Any], folder: Path, *, where: str = "configuration") -> FamilyRuns:
    """Check every section, then make the folder and the runs in it.

    Raises
    ------
    SpecError : bad input or an occupied folder; nothing is written then.
    """
    check_run_folder(folder)
    contents = family_contents(content, where)
    ready = {name: prepare(parse_config(one, where=f"{where} ({name})")) for name, one in contents.items()}
    make_folder(folder)
    write_text(folder / FAMILIES_FILE, strict_json({"runs": contents}) + "\n")
    return FamilyRuns(folder, {name: prepared.made(folder / name) for name, prepared in ready.items()})


def reopen_families(folder: Path, *, executor: Mapping[str, Any] | None = None) -> FamilyRuns:
    """The runs of a folder, to be gone on with; one that was not made before the end is made.

    Raises
    ------
    SpecError : no such folder, a damaged file, or what `codesign.app.run.reopen` refuses.
    """
    runs = {}
    for name, content in _asked(folder).items():
        if (folder / name / "manifest.json").is_file():
            runs[name] = reopen(folder / name, executor=executor)
        else:
            runs[name] = prepare(parse_config(content, where=f"{folder / FAMILIES_FILE}: {name}")).made(folder / name)
    return FamilyRuns(folder, runs)


def run_folders(folder: Path) -> list[Path]:
    """The folders of the runs of several families; none where the folder is no such one.

    Raises
    ------
    SpecError : a damaged file.
    """
    return [folder / name for name in _asked(folder)] if (folder / FAMILIES_FILE).is_file() else []


def _asked(folder: Path) -> dict[str, Any]:
    path = folder / FAMILIES_FILE
    try:
        runs = json.loads(read_text(path))["runs"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError(str(path), "the runs", "a JSON object with the key runs", str(error)) from None
    if not isinstance(runs, dict) or not all(name == Path(name).name for name in runs):
        raise SpecError(str(path), runs, "runs by the names of their folders")
    return runs


def search_families(
    config: str | Path | Mapping[str, Any], output: str | Path, *, overrides: Sequence[str] = ()
) -> Union:
    """Run a configuration with several sections of hardware and return the front of all of them.

    Parameters
    ----------
    config, overrides : as of `codesign.search`. output : folder, new or empty; each run and its report are written
        into a folder of its own there.
    """
    from codesign.report.html import read_report, write_report
    from codesign.report.union import union, write_union

    if isinstance(config, Mapping):
        content, where = config, "configuration"
    else:
        content, where = read_run_file(Path(config), overrides), str(config)
    if not of_families(content):
        raise SpecError(f"{where}: hardware", "no list", "a list of sections; `codesign.search` runs one")
    runs = begin_families(content, Path(output), where=where)
    runs.go()
    for run in runs.runs.values():
        write_report(read_report(run.store, space=run.space), run.store.folder)
    runs.close()
    found = union(run_folders(Path(output)))
    write_union(found, Path(output))
    return found
