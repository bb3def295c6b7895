"""What a run holds: arrays under a prefix, a model and a task that its file makes; and its files.

A run is two files: the arrays with all that is said of them (``.npz``), and a copy of the latter to
be read by people (``.json``). The first alone is the whole run, so that one that was cut off
between the two leaves no mixture of two runs.
"""

import json
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bioopzo.errors import InputError, ModelWarning
from bioopzo.files import readable, write_atomically, write_json

#: How the files of a run are written. Of format 1 the ``.npz`` held arrays alone.
FORMAT = 2
#: The array that holds what is said of the others, as JSON.
SAID = "said"


class Part(Mapping[str, np.ndarray]):
    """The arrays of a run under a prefix, by the rest of their names; it follows the run."""

    def __init__(self, arrays: Mapping[str, np.ndarray], prefix: str):
        self._arrays, self._prefix = arrays, prefix

    def __getitem__(self, name):
        return self._arrays[self._prefix + name]

    def __iter__(self):
        return (name.removeprefix(self._prefix) for name in self._arrays
                if name.startswith(self._prefix))

    def __len__(self):
        return sum(1 for _ in self)

    def __repr__(self):
        return "\n".join(f"{name}: array {np.shape(array)}" for name, array in self.items())

    def _ipython_key_completions_(self):
        return list(self)


class Made:
    """An attribute of a `Run` that is made of what its file holds when it is first asked for."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, run, owner=None):
        if run is None:
            return None  # the default of the field
        held = run.__dict__
        if held.get(self.name) is None and held.get("made_of", {}).get(self.name):
            held[self.name] = _MAKERS[self.name](run)
        return held.get(self.name)

    def __set__(self, run, value):
        run.__dict__[self.name] = value


def _model_of(run):
    # start-up: Brian2 is slow
    from bioopzo.model import Model

    return Model.from_content(run.made_of["model"])


def _task_of(run):
    # start-up: Brian2 is slow
    from bioopzo import stored

    return on_its_trials(run, stored.referred(run.made_of["task"]))


_MAKERS = {"model": _model_of, "task": _task_of}


def made_of(run: Any) -> dict[str, Any]:
    """What a file of a `Run` holds to make model and task of; or what its own file did."""
    held, found = run.__dict__, {}
    if held.get("model") is not None:
        found["model"] = held["model"].content()
    if held.get("task") is not None:
        # start-up: Brian2 is slow
        from bioopzo import stored

        found["task"] = stored.reference(held["task"])
    return {name: value for name, value in {**run.made_of, **found}.items() if value}


def on_its_trials(run: Any, task: Any) -> Any:
    """The `task`, if it has the trials that a `Run` was trained on; else `InputError`."""
    known = run.meta.get("task_digest")
    if known is not None and task.digest != known:
        raise InputError(f"the run was trained on other trials of {run.meta['task']} than those of "
                         f"{task.name} that there are now: give its task, "
                         "bioopzo.Run.load(path, task=task), or run.evaluate(task) to show it "
                         "others")
    return task


# ---------------------------------------------------------------------------- files

def run_files(path: str | PathLike) -> tuple[Path, Path, Path]:
    """(path without ending, ``.npz``, ``.json``) of the run at `path`, with or without ending."""
    stem = Path(path)
    stem = stem.with_suffix("") if stem.suffix in (".npz", ".json") else stem
    return stem, stem.with_name(f"{stem.name}.npz"), stem.with_name(f"{stem.name}.json")


def write_run(path: str | PathLike, arrays: Mapping[str, np.ndarray], said: Mapping[str, Any]
              ) -> Path:
    """Write the `arrays` of a run and what is `said` of them; returns the path without ending.

    Each file appears whole or not at all. Raises `OSError`, and `ValueError` for what JSON cannot
    hold.
    """
    stem, data, words = run_files(path)
    content = {**said, "format": FORMAT}
    text = np.frombuffer(json.dumps(content, allow_nan=False).encode(), np.uint8)
    held: dict[str, Any] = {**arrays, SAID: text}
    write_atomically(data, lambda file: np.savez_compressed(file, **held))
    write_json(words, content)
    return stem


def read_run(path: str | PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `write_run` wrote at `path`: (arrays, what is said of them).

    Warns (`ModelWarning`) where the ``.json`` says something else: it is not read then. Raises
    `InputError` when the ``.npz`` is missing, damaged or of another format.
    """
    stem, data, words = run_files(path)
    try:
        with np.load(readable(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        copy = _copy(words)
        said = json.loads(arrays.pop(SAID).tobytes()) if SAID in arrays else _of_format_1(copy)
    except FileNotFoundError:
        raise InputError(f"no saved run at {stem}: {data} is missing") from None
    except Exception as problem:  # zip, numpy and JSON have many ways to say it
        raise InputError(f"the saved run {data} cannot be read: {problem}") from None
    if not isinstance(said, dict) or "format" not in said:
        raise InputError(f"{data} is no run that this package saved: it lacks what is said of its "
                         "arrays")
    if said["format"] not in (1, FORMAT) or not isinstance(said.get("units"), dict):
        raise InputError(f"{data} has format {said['format']!r}, this version of the package reads "
                         f"{FORMAT}: read it with the version that wrote it, "
                         f"{said.get('versions')!r:.200}")
    if copy not in (None, said):
        warnings.warn(f"{words} is not that of {data}: another run's, or changed since, or writing "
                      f"was cut off; all is read from {data}, and saving the run again mends it",
                      ModelWarning, stacklevel=3)
    return arrays, said


def _of_format_1(copy):
    """What the ``.json`` says of arrays that say nothing themselves, if it was written so."""
    return copy if isinstance(copy, dict) and copy.get("format") == 1 else None


def _copy(words):
    """What stands in the ``.json`` of a run, None where there is none."""
    try:
        return json.loads(readable(words).read_text())
    except FileNotFoundError:
        return None
    except ValueError as problem:
        return f"damaged: {problem}"
