"""Where a run is saved: found to be writable before it begins; a finished run is never lost."""

import tempfile
from os import PathLike
from pathlib import Path

from bioopzo.errors import InputError
from bioopzo.run import Run


def writable(name: str, place: str | PathLike, *parts: str) -> Path:
    """The path `place`, and `parts` in it; `InputError` when no file can be written there.

    `name` is that of the argument. Folders that are missing are made.
    """
    try:
        place = Path(place, *parts)
    except TypeError:
        raise InputError(f"{name} is a path, not {place!r}") from None
    if not place.name:
        raise InputError(f"{name} is the path of a file, not {str(place)!r}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place.parent).close()
    except OSError as problem:
        raise InputError(f"nothing can be written to {name}={str(place)!r}: "
                         f"{problem.strerror}") from None
    return place


def save_incomplete(run: Run, place: str | PathLike) -> Path:
    """Save a run that ended early, beside a finished one where `place` holds one.

    Returns where it lies, ``PLACE.incomplete`` beside a finished run.
    """
    if _holds_a_finished_run(place):
        place = Path(place)
        stem = place.stem if place.suffix in (".npz", ".json") else place.name
        place = place.with_name(f"{stem}.incomplete")
    return run.save(place)


def _holds_a_finished_run(place):
    try:
        return Run.load(place).complete
    except InputError:
        return False
