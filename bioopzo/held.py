"""What a run holds: arrays under a prefix, and a model and a task that its file makes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bioopzo.errors import InputError


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
