"""A run that ended early is saved, and a finished one is never lost."""

from os import PathLike
from pathlib import Path

from bioopzo.errors import InputError
from bioopzo.run import Run


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
