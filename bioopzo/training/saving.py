"""Where runs are saved: tried before, one that ended early beside a finished one, nothing lost."""

import tempfile
from os import PathLike, fspath
from pathlib import Path

from bioopzo.errors import InputError, NotSaved
from bioopzo.files import writable
from bioopzo.held import run_files
from bioopzo.run import Run


def place_of_run(name: str, place: str | PathLike, *parts: str) -> Path:
    """The path `place`, and `parts` in it, where a run can be saved; else `InputError`.

    `name` is that of the argument.
    """
    path = writable(name, place, *parts)
    for file in run_files(path)[1:]:
        writable(name, file)
    return path


def save_incomplete(run: Run, place: str | PathLike) -> Path:
    """Save a run that ended early, beside a finished one where `place` holds one.

    Returns where it lies, ``PLACE.incomplete`` beside a finished run. Raises `NotSaved`.
    """
    if _holds_a_finished_run(place):
        stem, _, _ = run_files(place)
        place = stem.with_name(f"{stem.name}.incomplete")
    return save_somewhere(run, place)


def save_somewhere(run: Run, place: str | PathLike) -> Path:
    """Save a run at `place`; returns where it lies.

    Where nothing can be written any more, it is put into a folder for temporary files, and
    `NotSaved` says so, or that this failed, too.
    """
    try:
        return run.save(place)
    except (OSError, ValueError) as problem:  # no room; a rate that JSON cannot hold
        why = getattr(problem, "strerror", None) or str(problem)
    try:
        kept = run.save(Path(tempfile.mkdtemp(prefix="bioopzo-saved-"), Path(place).name))
        where = f"it is saved at {kept} instead"
    except (OSError, ValueError):
        where = "it is in .run of this error alone"
    state = "finished" if run.complete else "incomplete"
    lost = NotSaved(f"the {state} run could not be saved at {fspath(place)} ({why}): {where}")
    lost.run = run  # type: ignore[assignment]
    raise lost


def _holds_a_finished_run(place):
    try:
        return Run.load(place).complete
    except InputError:
        return False
