"""What is recorded while a network is trained: which variables, in which training trials."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.errors import InputError
from bioopzo.exact import digest
from bioopzo.measures.recorded import check_size
from bioopzo.model import Model
from bioopzo.network.watched import Watched, watched
from bioopzo.run import Run
from bioopzo.tasks import Task

#: Trials that are recorded where nobody says which: so many, evenly over the training.
USUAL = 10


@dataclass(frozen=True)
class Watch:
    """The variables `chosen` are recorded in the training trials `trials` (sorted, from 0).

    `kept` grows, a part for every stretch: of ``"trained"`` (the numbers of the trials),
    ``"sample"``, and the values of each variable by its request.
    """

    chosen: tuple[Watched, ...]
    trials: np.ndarray
    kept: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def parts(self, first: int, count: int, most: int = 10**9) -> Iterator[tuple[slice, bool]]:
        """`count` trials from number `first` on, cut where recording begins or ends.

        Yields (part, recorded); a recorded one has at most `most` trials.
        """
        asked = np.isin(np.arange(first, first + count), self.trials)
        begin = 0
        while begin < count:
            same = np.flatnonzero(asked[begin:] != asked[begin])
            end = begin + int(same[0]) if len(same) else count
            end = min(end, begin + most) if asked[begin] else end
            yield slice(begin, end), bool(asked[begin])
            begin = end

    def keep(self, trials: np.ndarray, samples: np.ndarray, values: list[np.ndarray]) -> None:
        """Keep what was recorded: the numbers of the trials, their samples, the values."""
        requests = (one.request for one in self.chosen)
        for name, part in zip(("trained", "sample", *requests), (trials, samples, *values)):
            self.kept.setdefault(name, []).append(part)

    @property
    def identity(self) -> list[str]:
        """What is recorded, in words: variables, and a hash of the trials."""
        return [*(one.request for one in self.chosen), f"trials {digest(self.trials)}"]

    def fill(self, run: Run) -> None:
        """Put what was recorded into a `Run`."""
        if not self.kept:
            return
        task = run.task
        for name, parts in self.kept.items():
            run.arrays[f"recorded/{name}"] = np.concatenate(parts)
        if task.labels is not None:
            run.arrays["recorded/label"] = task.labels[run.arrays["recorded/sample"]]
        run.units.update(dict.fromkeys(("recorded/trained", "recorded/sample"), "1"))
        run.meta["recorded"] = {"dt_ms": 1e3 * float(task.dt), "variables": [
            {"request": one.request, "name": one.name, "whole": list(one.whole),
             "axes": [[name, list(indices)] for name, indices in one.axes]}
            for one in self.chosen]}


def checked_watch(model: Model, task: Task, trials: int, record: Any, record_trials: Any
                  ) -> Watch | None:
    """The `Watch` of a run of so many `trials`, or None; `InputError` for what cannot be recorded.

    `record` are names of variables, `record_trials` numbers of training trials, from 0.
    """
    if record is None or (not isinstance(record, str) and not len(list(record))):
        if record_trials is not None:
            raise InputError('record_trials says when, and record does not say what: '
                             'record=["hidden_1.u"]')
        return None
    if model.layout:
        raise InputError(f"{model.layout!r} is an architecture; only networks with all-to-all "
                         "layers can be recorded")
    chosen = watched(model, record)
    if record_trials is None:
        record_trials = np.unique(np.linspace(0, trials - 1, USUAL).astype(int))
    if not isinstance(record_trials, Iterable) or isinstance(record_trials, str):
        record_trials = [record_trials]
    numbers = np.array(sorted({whole_number("every one of record_trials", one, least=0)
                               for one in record_trials}), int)
    if not len(numbers) or numbers[-1] >= trials:
        raise InputError(f"record_trials are numbers of training trials, 0 to {trials - 1}, not "
                         f"{'none' if not len(numbers) else numbers[-1]}")
    check_size(chosen, len(numbers), task.steps)
    return Watch(chosen, numbers)
