"""The spiking engine as training drives it: chunk by chunk, readings one trial late."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import parameter_values, rows, tables
from bioopzo.errors import InputError
from bioopzo.model import Model
from bioopzo.network.clock import shape_of, time_course
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training.guards import LEARNED, not_finite, stopped
from bioopzo.training.log import Evaluation, Log
from bioopzo.training.plan import EVALUATIONS, Plan, Stretch, planned
from bioopzo.training.start import initial_weights, learning_rates, scheduled, without_learning

#: Training trials where the user says nothing.
TRIALS = 4000
#: Learning rates follow their schedule in at least this many steps.
SCHEDULE_STEPS = 25


@dataclass(frozen=True)
class Settings:
    """How the spiking engine trains: `backend` by name, or by length; `lazy` or dense text."""

    backend: str | None = None
    lazy: bool = True


def settings(backend: str | None = None, lazy: bool = True, **unknown: Any) -> Settings:
    """The `Settings`; `InputError` for any others."""
    if unknown:
        raise InputError(f"{', '.join(sorted(unknown))}: settings of engine='rate', or unknown; "
                         "the spiking engine takes backend and lazy")
    backends.choose(backend, 0)
    return Settings(backend, lazy)


def plan(task: Task, split: str, trials: int | None, epochs: int | None, evaluations: int | None,
         chosen: Settings) -> Plan:
    """The `Plan` of a run of single trials: 4000 of them, evaluated 10 times, by default."""
    trials = TRIALS if trials is None and epochs is None else trials
    return planned(task, split, trials, epochs,
                   EVALUATIONS if evaluations is None else evaluations, batch=1)


def fitted(model: Model, task: Task, chosen: Settings) -> Model:
    """The model, as it is; `InputError` where this engine cannot run it on the task."""
    if model.layout:
        raise InputError(f"{model.layout!r} is an architecture; the spiking engine connects all to "
                         "all: use engine='rate', or a list of sizes")
    rows(task)
    return model


def backend(chosen: Settings, plan: Plan) -> str:
    """The name of the back end that runs a plan."""
    return backends.choose(chosen.backend, plan.shown(plan.trials, len(plan.marks)))


@dataclass
class _Reading:
    """An evaluation whose readings still come in, each with the trial after it."""

    trials: int
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray] = field(default_factory=dict)
    samples: list[np.ndarray] = field(default_factory=list)
    decisions: list[np.ndarray] = field(default_factory=list)
    costs: list[np.ndarray] = field(default_factory=list)


class Driver:
    """A built network and its state; `run` takes it through a stretch of trials."""

    def __init__(self, run: Run, plan: Plan, chosen: Settings, seed: int, log: Log,
                 announce: Callable[[str], object] | None = None):
        self.model, self.task, self.plan, self.log = run.model, run.task, plan, log
        self.shape = shape_of(self.task, rows(self.task))
        self.course = time_course(self.model, self.task)
        order, weights, noise = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
        self.engine = backends.open_backend(run.meta["backend"], self.model, self.shape,
                                            chosen.lazy, announce)
        run.meta.update(build_s=round(self.engine.build_s, 3),
                        learning_rates=learning_rates(self.model))
        self.values = parameter_values(self.model, self.shape, chosen.lazy)
        self.order, self.noise = order, noise
        self.reading: _Reading | None = None
        self.state = {**self.engine.start, **initial_weights(self.model, weights)}

    def stretches(self) -> Iterator[Stretch]:
        """The plan in chunks that the tables have room for."""
        most = self.shape.rows
        longest = max(1, min(most, -(-self.plan.trials // SCHEDULE_STEPS)))
        for stretch in self.plan.stretches(lambda epoch: self.order, longest, within=0.5):
            yield from [stretch] if stretch.plastic else _parts(stretch, most)

    def run(self, stretch: Stretch) -> None:
        """Present a stretch, and give the log every evaluation that is whole."""
        values = scheduled(self.values, self.model, stretch.progress)
        chunk = Chunk(len(stretch.samples), self.state, values,
                      {"course": self.course,
                       **tables(self.task, self.shape, stretch.samples, stretch.plastic)},
                      int(self.noise.integers(1, 2**31 - 1)))
        outcome = self.engine.run(chunk)
        self._check_finite(chunk, outcome, stretch)
        shift_last_spikes(outcome.state, chunk.trials * float(self.shape.duration))
        before, self.state = self.state, outcome.state
        self._read(stretch, outcome, before)
        if stretch.plastic:
            self.log.seen(len(stretch.samples))

    def final(self) -> dict[str, np.ndarray]:
        """The state by name."""
        return self.state

    def closing(self) -> dict[str, Any]:
        """What else a run's `meta` says at its end."""
        return {}

    def _read(self, stretch, outcome, before):
        """Collect the readings of an evaluation: each belongs to the trial before it."""
        begun = self.reading is not None
        if not begun and not stretch.plastic:
            self.reading = _Reading(self.log.trials, before)
        reading = self.reading
        if reading is None:
            return
        mine = slice(0 if begun else 1, 1 if stretch.plastic else None)
        reading.decisions.append(outcome.decision[mine])
        reading.costs.append(outcome.cost[mine])
        if not stretch.plastic:
            reading.samples.append(stretch.samples[:len(stretch.samples) - stretch.last])
            reading.after = outcome.state
        if sum(map(len, reading.decisions)) == len(self.plan.held_out):
            self.reading = None
            self.log.evaluated(self._evaluation(reading))

    def _evaluation(self, reading):
        samples = np.concatenate(reading.samples)
        cost = np.concatenate(reading.costs)
        rates, weights = {}, {}
        for name, value in reading.after.items():
            owner, variable = name.split(".")
            if variable == "count":
                spikes = float(np.mean(value - reading.before[name]))
                rates[owner] = spikes / (len(samples) * float(self.task.duration))
            elif variable in LEARNED:
                weights[name] = value
        return Evaluation(reading.trials, samples, np.concatenate(reading.decisions),
                          float(cost.sum(axis=1).mean()), rates, weights)

    def _check_finite(self, chunk, outcome, stretch):
        """Stop when a value is not finite; finds the trial by running parts again."""
        name = not_finite(outcome.state)
        if name is None and np.isfinite(outcome.decision).all():
            return
        done = self.log.trials
        when = (f"in trial {done + self._first_bad(chunk, name)}" if stretch.plastic
                else f"in the evaluation after trial {done}")
        values = outcome.state[name] if name else outcome.decision
        raise stopped(name or "readout.decision", values, when,
                      "" if not done and self._fails_without_learning(chunk) else "eta, eta_o")

    def _fails_without_learning(self, chunk):
        """Whether a chunk leaves what is not finite although every eta is 0."""
        outcome = self.engine.run(Chunk(chunk.trials, chunk.state,
                                        without_learning(chunk.constants), chunk.tables,
                                        chunk.seed))
        return not_finite(outcome.state) is not None or not np.isfinite(outcome.decision).all()

    def _first_bad(self, chunk, name):
        """Number within a chunk of the first trial after which the variable is not finite."""
        low, high = 0, chunk.trials
        schedule = chunk.tables["schedule"]
        while name is not None and high - low > 1:
            middle = (low + high) // 2
            plastic = np.where(np.arange(len(schedule)) < middle, schedule, 0.0)
            tried = self.engine.run(Chunk(chunk.trials, chunk.state, chunk.constants,
                                          {**chunk.tables, "schedule": plastic}, chunk.seed))
            if np.isfinite(tried.state[name]).all():
                low = middle
            else:
                high = middle
        return high


def _parts(evaluation, most):
    """An evaluation in parts; the last of a run ends with an idle trial that settles the rest."""
    samples = evaluation.samples
    parts = [samples[k:k + most - 1] for k in range(0, len(samples), most - 1)]
    for k, part in enumerate(parts):
        last = evaluation.last and k == len(parts) - 1
        yield Stretch(np.append(part, part[-1]) if last else part, False, evaluation.progress,
                      last)


def shift_last_spikes(state: dict[str, np.ndarray], elapsed: float) -> None:
    """Move the times of last spikes back by `elapsed` (s): each chunk starts its clock at 0."""
    for name in state:
        if name.endswith(".lastspike"):
            state[name] = state[name] - elapsed
