"""The learning curve as it grows, and what it leaves in a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bioopzo.measures.trials import DECISION_BYTES, rows
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training.guards import check_loss
from bioopzo.training.plan import Plan
from bioopzo.training.watch import Watch

#: Called at every evaluation with (trials, accuracy or None, loss), and the weights by name.
Listener = Callable[[int, float | None, float, Mapping[str, np.ndarray]], object]


def keeps_decisions(plan: Plan, task: Task) -> bool:
    """Whether all decisions of a run are few enough to be kept (else the choice alone is)."""
    trials = plan.shown(plan.trials, len(plan.marks))
    return 8 * trials * task.n_out < DECISION_BYTES


@dataclass(frozen=True)
class Evaluation:
    """What the held-out `samples` showed after `trials` training trials.

    `decision` (samples, readouts) is the readout on each, `losses` (samples,) what each cost,
    `rates` (Hz) maps a population to its mean firing rate, `weights` holds the arrays to be kept by
    name, and `more` further points of the curve.
    """

    trials: int
    samples: np.ndarray
    decision: np.ndarray
    losses: np.ndarray
    rates: Mapping[str, float]
    weights: Mapping[str, np.ndarray]
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.losses.mean())


class Log:
    """The learning curve as it grows: `curve` maps a name to its values, one an evaluation.

    `trials` counts the training trials, `snapshots` holds what is learned, and running statistics,
    at every evaluation, `outcomes` what single trials came to, by ``"training/decision"`` and the
    like, a part for each stretch, `recorded` what the `watch` keeps, likewise. `labels` are those
    of the task, or None;
    `tell` is called with (trials, accuracy or None, loss, weights). `whole` says whether decisions
    are kept, or the choice alone.
    """

    def __init__(self, labels: np.ndarray | None, tell: Listener | None = None,
                 whole: bool = True, watch: Watch | None = None):
        self.labels, self.tell, self.whole = labels, tell, whole
        self.trials = 0
        self.curve: dict[str, list[Any]] = {}
        self.snapshots: dict[str, list[np.ndarray]] = {}
        self.outcomes: dict[str, list[np.ndarray]] = {}
        self.recorded: dict[str, list[np.ndarray]] = {} if watch is None else watch.kept

    @property
    def evaluations(self) -> int:
        """How many evaluations there are."""
        return len(self.curve.get("trials", ()))

    def learned(self, samples: np.ndarray, decision: np.ndarray, losses: np.ndarray) -> None:
        """Count training trials, and keep what each of the `samples` came to."""
        self._keep("training", samples, decision, losses, self.trials + np.arange(len(samples)))
        self.trials += len(samples)

    def _keep(self, kind, samples, decision, losses, after):
        for name, values in rows(self.labels, samples, decision, losses, after,
                                          self.whole).items():
            self.outcomes.setdefault(f"{kind}/{name}", []).append(values)

    def evaluated(self, found: Evaluation) -> None:
        """Add an `Evaluation`; `NonFiniteError` where its loss is none."""
        check_loss(found.loss, found.trials)
        point = {"trials": found.trials, "loss": found.loss, "held_out": len(found.samples),
                 **found.more}
        if self.labels is not None:
            hits = found.decision.argmax(axis=1) == self.labels[found.samples]
            point["accuracy"] = float(np.mean(hits))
        point |= {f"rates/{name}": rate for name, rate in found.rates.items()}
        for name, value in point.items():
            self.curve.setdefault(name, []).append(value)
        for name, array in found.weights.items():
            self.snapshots.setdefault(name, []).append(array)
        self._keep("held_out", found.samples, found.decision, found.losses,
                   np.full(len(found.samples), found.trials))
        self.announce(-1)

    def announce(self, first: int) -> None:
        """Tell who listens of the evaluations from number `first` on."""
        if self.tell and self.curve:
            accuracies = self.curve.get("accuracy", [None] * self.evaluations)
            points = list(zip(self.curve["trials"], accuracies, self.curve["loss"]))
            for number in range(len(points))[first:]:
                self.tell(*points[number], {name: kept[number]
                                            for name, kept in self.snapshots.items()})

    def latest(self) -> str:
        """The last evaluation in words, for a progress bar."""
        if not self.curve:
            return ""
        accuracy = self.curve.get("accuracy")
        words = [f"{100 * accuracy[-1]:.2f} %"] if accuracy else []
        return ", ".join([*words, f"loss {self.curve['loss'][-1]:.4f}"])

    def fill(self, run: Run, state: Mapping[str, np.ndarray], complete: bool) -> None:
        """Put the curve, the snapshots and the final `state` (name -> array) into a `Run`."""
        run.meta["trials_done"], run.meta["complete"] = self.trials, complete
        run.arrays.update({f"final/{name}": value for name, value in state.items()})
        rates = {name[6:]: values for name, values in self.curve.items()
                 if name.startswith("rates/")}
        curve = {"trials": [], "accuracy": [], "loss": [],
                 **{name: values for name, values in self.curve.items()
                    if not name.startswith("rates/")}}
        for kind, values, unit in (("curve", curve, "1"), ("rates", rates, "Hz"),
                                   ("snapshots", self.snapshots, "1")):
            for name, value in values.items():
                run.arrays[f"{kind}/{name}"] = np.array(value)
                run.units[f"{kind}/{name}"] = unit
        for name, parts in self.outcomes.items():
            run.arrays[name] = np.concatenate(parts)
            run.units[name] = "1"
        run.meta["evaluation_trials"] = list(curve.get("held_out", []))
        run.meta["untrained_rates_hz"] = {k: round(v[0], 2) for k, v in rates.items()}
        run.meta["rates_hz"] = {k: round(v[-1], 2) for k, v in rates.items()}
        if complete:
            run.meta["test_loss"] = curve["loss"][-1]
            run.meta["test_accuracy"] = curve["accuracy"][-1] if curve["accuracy"] else None
