"""What single trials came to: what was decided, whether that was right, what it cost."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bioopzo.errors import InputError, ModelWarning, unknown
from bioopzo.tasks import Task

#: The trials that a run keeps the outcomes of, and what their arrays are called.
TRIALS = ("training", "held_out")
#: Decisions are kept where those of all trials together stay below this; else the choice alone.
DECISION_BYTES = 50e6


@dataclass(frozen=True)
class Outcomes:
    """What single trials came to, one after the other.

    `samples` (trials,) are indices in the task; `decision` (trials, readouts) is the readout over
    the time in which it is read, None where only `choice` was kept; `loss` (trials,); `labels`
    (trials,), the classes (or best actions), None without; `choice` (trials,), the readout unit
    with the largest decision; `after` (trials,), how many training trials were shown before each;
    `rates`, population -> (neurons,), Hz in the mean over these trials; `rewarded`, whether the
    loss is what was not earned. `len(outcomes)` is the number of trials.
    """

    samples: np.ndarray
    decision: np.ndarray | None
    loss: np.ndarray
    labels: np.ndarray | None
    choice: np.ndarray
    after: np.ndarray
    rates: Mapping[str, np.ndarray] = field(default_factory=dict)
    rewarded: bool = False

    def __len__(self):
        return len(self.samples)

    @property
    def correct(self) -> np.ndarray:
        """Whether each trial was right, bool (trials,); `InputError` without classes."""
        if self.labels is None:
            raise InputError("these trials have no classes, so none is correct or wrong: see loss")
        return self.choice == self.labels

    @property
    def accuracy(self) -> float | None:
        """The share of trials decided correctly; None without classes."""
        return None if self.labels is None else float(np.mean(self.correct))

    @property
    def reward(self) -> np.ndarray:
        """What each trial earned, (trials,); `InputError` where no reward was given."""
        if not self.rewarded:
            raise InputError("these trials show the target and give no reward: see loss")
        return -self.loss

    def __repr__(self):
        score = f"loss {np.mean(self.loss):.4f}" if self.accuracy is None else \
            f"{100 * self.accuracy:.1f} % correct, loss {np.mean(self.loss):.4f}"
        rates = "".join(f", {name} {np.mean(rate):.1f} Hz" for name, rate in self.rates.items())
        return f"<Outcomes of {len(self)} trials: {score}{rates}>"


def attached(run: Any, task: Task | None = None) -> tuple[Any, Task]:
    """The model and the task of a `run` that is to be shown trials (of another `task`, if given).

    The model is the run's with its parameters, written for the task. Raises `InputError` where
    one is missing, where they do not fit, and for a run without weights.
    """
    if run.model is None:
        raise InputError("a loaded run of an older version has no model attached: set run.model")
    if task is None and run.task is None:
        raise InputError(f"the task of this run, {run.meta.get('task')}, was made from arrays, "
                         "which its file does not hold: give it, bioopzo.Run.load(path, task=task)")
    if task is not None and not isinstance(task, Task):
        raise InputError(f"task is a Task, not {type(task).__name__}: one of bioopzo.tasks, or "
                         "bioopzo.tasks.from_arrays(X, y)")
    if not len(run.final):
        raise InputError("this run holds no weights (final/...): it ended before the first "
                         "evaluation, or was not trained")
    model, meta = run.model, run.meta
    if list(model.sizes) != meta.get("sizes", list(model.sizes)):
        raise InputError(f"run.model has the sizes {list(model.sizes)}, and the run was trained "
                         f"with {meta['sizes']}")
    if model.digest != meta.get("digest", model.digest) and not meta.get("changed"):
        warnings.warn(f"run.model (rule {model.rule_name}) is not the model that this run of "
                      f"{meta.get('rule')} was trained with: its weights are shown in another text "
                      "or with other parameters", ModelWarning, stacklevel=3)
    return model.on(task or run.task), task or run.task


def before(meta: Mapping[str, Any]) -> int:
    """How many trials a network has learned from, those before the run of this `meta` too."""
    return meta.get("trials_before", 0) + meta.get("trials_done", meta.get("trials", 0))


def outcomes(run: Any, trials: str = "held_out", evaluation: int | None = -1) -> Outcomes:
    """What a `run` keeps of its single `trials`.

    ``"training"``: every training trial, in the order in which they were shown, with plasticity and
    perturbation on. ``"held_out"``: those of an `evaluation`, by its number (-1: the last one,
    which shows the whole split; None: of all evaluations, one behind the other). `rates` are not
    kept (`Run.evaluate` measures them). Raises `InputError` for other trials, no such evaluation,
    and a run that keeps none.
    """
    if trials not in TRIALS:
        raise unknown("kind of trials", trials, TRIALS)
    kept = {key.partition("/")[2]: np.asarray(value) for key, value in run.arrays.items()
            if key.startswith(f"{trials}/")}
    if "loss" not in kept:
        raise InputError("this run keeps no outcomes of single trials: it was saved by an older "
                         "version; run.evaluate() shows trials to the trained network")
    if trials == "held_out" and evaluation is not None:
        shown = np.asarray(run.arrays["curve/held_out"])
        if not -len(shown) <= evaluation < len(shown):
            raise InputError(f"the learning curve has {len(shown)} evaluations, and none with the "
                             f"number {evaluation}")
        ends = np.cumsum(shown)
        part = slice(ends[evaluation] - shown[evaluation], ends[evaluation])
        kept = {name: value[part] for name, value in kept.items()}
    return Outcomes(kept["sample"], kept.get("decision"), kept["loss"], kept.get("label"),
                    kept["choice"], kept["after"], {}, bool(run.meta.get("rewarded")))


def rows(labels: np.ndarray | None, samples: np.ndarray, decision: np.ndarray, loss: np.ndarray,
         after: np.ndarray, whole: bool = True) -> dict[str, np.ndarray]:
    """What a run keeps of trials, which are `samples` of a task: name -> a value a trial.

    `labels` are the task's, by sample, or None; `decision` (trials, readouts) is left out where not
    `whole`; `loss` and `after` (trials,) as in `Outcomes`.
    """
    kept = {"sample": np.asarray(samples, np.int32), "after": np.asarray(after, np.int32),
            "loss": np.asarray(loss), "choice": np.argmax(decision, axis=1).astype(np.int16)}
    if whole:
        kept["decision"] = np.asarray(decision)
    if labels is not None:
        kept["label"] = labels[samples].astype(np.int16)
    return kept
