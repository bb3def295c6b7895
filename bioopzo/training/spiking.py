"""The spiking engine as training drives it, chunk by chunk, with checkpoints."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from bioopzo.engines.precision import checked_precision
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import rows, shift_last_spikes, tables
from bioopzo.engines.spiking.numbers import EVALUATION, TRAINING, keys
from bioopzo.engines.spiking.standalone import is_kept
from bioopzo.errors import InputError, nearest
from bioopzo.measures.recorded import open_recorder
from bioopzo.model import Model
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import shape_of, time_course
from bioopzo.network.spread import constants
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training.checkpoint import (
    checkpoint_identity,
    checkpoint_path,
    same_arrays,
    take_up,
    write,
)
from bioopzo.training.guards import not_finite, stopped, warn_of_rates
from bioopzo.training.log import Evaluation, Log
from bioopzo.training.plan import Evaluations, Plan, Stretch, planned
from bioopzo.training.start import (
    initial_weights,
    learning_rates,
    note_start,
    scheduled,
    taken_over,
    without_learning,
)
from bioopzo.training.tuned import note_untuned
from bioopzo.training.watch import Watch

#: Training trials where the user says nothing.
TRIALS = 4000
#: Learning rates follow their schedule in at least this many steps.
SCHEDULE_STEPS = 25


#: What `train` takes beside settings, in either engine.
ARGUMENTS = ("trials", "seed", "evaluations", "evaluation_trials", "split", "save", "progress",
             "engine", "epochs", "live", "start", "record", "record_trials")


@dataclass(frozen=True)
class Settings:
    """How the spiking engine trains: `backend` by name, or by length; `lazy` or dense text.

    `precision` is ``"double"`` or ``"single"``, of all but times. `checkpoint` is a path, written
    after every evaluation; where it exists, training goes on from it, to the same bits.
    """

    backend: str | None = None
    lazy: bool = True
    precision: str = "double"
    checkpoint: Any = None


def settings(backend: str | None = None, lazy: bool = True, precision: str = "double",
             checkpoint: Any = None, **unknown: Any) -> Settings:
    """The `Settings`; `InputError` for any others."""
    if unknown:
        # start-up: JAX is slow
        from bioopzo.engines.rate.settings import Settings as OfBatches

        mine = "the spiking engine takes backend, lazy, precision and checkpoint"
        theirs = {entry.name for entry in fields(OfBatches)}
        for name in sorted(unknown.keys() - theirs):
            hint = nearest(name, [*theirs, *ARGUMENTS, *(e.name for e in fields(Settings))])
            raise InputError(f"unknown setting {name!r}{hint}; {mine}")
        raise InputError(f"{', '.join(sorted(unknown))}: settings of engine='rate'; {mine}")
    backends.choose(backend, 0)
    if checkpoint is not None:
        checkpoint = checkpoint_path(checkpoint)
    return Settings(backend, lazy, checked_precision(precision), checkpoint)


def plan(task: Task, split: str, trials: int | None, epochs: int | None, evaluations: Evaluations,
         evaluation_trials: int | None, chosen: Settings) -> Plan:
    """The `Plan` of a run of single trials: 4000 of them, evaluated 10 times, by default."""
    trials = TRIALS if trials is None and epochs is None else trials
    return planned(task, split, trials, epochs, evaluations, 1, evaluation_trials, False)


def fitted(model: Model, task: Task, chosen: Settings) -> Model:
    """The model, as it is; `InputError` where this engine cannot run it on the task."""
    if model.layout:
        raise InputError(f"{model.layout!r} is an architecture; the spiking engine connects all to "
                         "all: use engine='rate', or a list of sizes")
    if model.rule.gradient:
        raise InputError(f"rule {model.rule_name} follows the gradient of a whole trial, which "
                         "only the rate engine computes: use engine='rate'")
    rows(task)
    return model


def backend(chosen: Settings, plan: Plan, model: Model, task: Task) -> str:
    """The name of the back end that runs a plan."""
    return backends.choose(chosen.backend, plan.shown(plan.trials, len(plan.marks)),
                           lambda: is_kept(model, shape_of(task, rows(task)), chosen.lazy,
                                           chosen.precision))


class Driver:
    """A built network and its state; `run` takes it through a stretch of trials.

    An evaluation begins with that state and is forgotten: training goes on from where it was. What
    it is like at the end of the last one, when all that training asks for is done, is `final`.
    Evaluations cost what they show, whether they are to be `brief` or not.
    """

    brief = False

    def __init__(self, run: Run, plan: Plan, chosen: Settings, seed: int, log: Log,
                 announce: Callable[[str], object] | None = None, start: Run | None = None,
                 watch: Watch | None = None):
        self.model, self.task, self.plan, self.log = run.model, run.task, plan, log
        self.shape = shape_of(self.task, rows(self.task))
        self.course = time_course(self.model, self.task)
        order, weights = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        self.engine = backends.open_backend(run.meta["backend"], self.model, self.shape,
                                            chosen.lazy, announce, chosen.backend is not None,
                                            chosen.precision)
        assembly = assemble(self.model, self.shape.duration, self.shape.varying, chosen.lazy,
                            bool(self.shape.events), step=self.shape.step,
                            precision=chosen.precision, masks=self.shape.masks > 1)
        run.meta.update(backend=self.engine.name, precision=chosen.precision,
                        build_s=round(self.engine.build_s, 3),
                        learning_rates=learning_rates(self.model), forms={
            name: synapse.form for name, synapse in assembly.synapses.items() if synapse.form})
        note_untuned(run, announce)
        self.values = constants(assembly, self.model, self.shape)
        self.order, self.seed = order, seed
        self.kept = {*assembly.roles.learned, *assembly.roles.statistics}
        self.state = {**self.engine.start, **initial_weights(self.model, weights)}
        if start is not None:
            taken, words = taken_over(start, self.model, assembly.roles, self.state)
            self.state |= taken
            note_start(run, start, taken, words)
        self.before = run.meta.get("trials_before", 0)
        self.evaluated = self.state
        self.watch, self.recorder = watch, None
        if watch is not None:
            # What is recorded of event-driven plasticity is read of the dense form, beside it.
            self.recorder, self.beside, self.theirs = open_recorder(
                self.model, self.shape, watch.chosen, self.engine.name, len(watch.trials),
                chosen.precision, chosen.lazy, assembly)
            self.beside = self.beside and chosen.lazy
        self.checkpoint = chosen.checkpoint
        self.identity = checkpoint_identity({
            **run.meta, "task_digest": self.task.digest, "settings": {
                "backend": self.engine.name, "lazy": chosen.lazy, "precision": chosen.precision}},
            plan, watch)
        self.done = take_up(self.checkpoint, log, self.identity, ("state", "evaluated"),
                            self._put_back)

    def stretches(self) -> Iterator[Stretch]:
        """The plan in chunks that the tables have room for."""
        steps = -(-self.plan.trials // SCHEDULE_STEPS)
        if not self.plan.in_order:  # the orders that were drawn before
            for _ in range(self.done // self.plan.in_epoch):
                self.order.permutation(self.plan.samples)
        return self.plan.stretches(lambda epoch: self.order, self.shape.rows, steps,
                                   start=self.done if self.log.evaluations else None)

    def run(self, stretch: Stretch) -> None:
        """Learn from a stretch; or evaluate, and give the log what was found."""
        values = scheduled(self.values, self.model, stretch.progress)
        if not stretch.plastic:
            found = self._evaluation(stretch, values)
            if not found.trials:
                warn_of_rates(found.rates)
            self.log.evaluated(found)
            write(self.checkpoint, {"state": self.state, "evaluated": self.evaluated}, self.log,
                  self.log.trials, self.identity)
            return
        parts = [(slice(None), False)] if self.watch is None else self.watch.parts(
            self.log.trials, len(stretch.samples))
        for part, recorded in parts:
            self._learn(stretch.samples[part], values, recorded and scheduled(
                self.theirs, self.model, stretch.progress))

    def _learn(self, samples, values, recorded):
        """Learn from trials; and record them, where `recorded` are the constants for that."""
        first = self.log.trials + np.arange(len(samples))
        before = self.before + first
        asked = (samples, True, before, keys(self.seed, TRAINING, before), self.state, values)
        seen = self._shown(*asked[:-1], recorded, self.recorder) if recorded else None
        outcome = self._shown(*asked) if seen is None or self.beside else seen
        if seen is not None and self.watch is not None:
            self.watch.keep(first, samples, seen.recorded)
        self.state = outcome.state
        self.log.learned(samples, outcome.decision, outcome.cost.sum(axis=1))

    def final(self) -> dict[str, np.ndarray]:
        """The state by name."""
        return self.evaluated

    def closing(self) -> dict[str, Any]:
        """What else a run's `meta` says at its end."""
        return {}

    def _put_back(self, kinds, content):
        """Take up the state of training and that of the last evaluation."""
        for kind in ("state", "evaluated"):
            same_arrays(kind, kinds[kind], self.state)
        self.state, self.evaluated = kinds["state"], kinds["evaluated"]

    def _shown(self, samples, plastic, before, trial_keys, state, values, engine=None):
        """Present trials from a state: the `Outcome`, in the `engine` of training or another."""
        if engine is not None and self.beside:  # the dense form has fewer variables
            state = {name: value for name, value in state.items() if name in engine.start}
        chunk = Chunk(len(samples), state, values,
                      {"course": self.course, **tables(self.task, self.shape, samples, plastic,
                                                       before, trial_keys)})
        outcome = (engine or self.engine).run(chunk)
        if engine is None or not self.beside:
            self._check_finite(chunk, outcome, plastic)
        shift_last_spikes(outcome.state, chunk.trials * float(self.shape.duration))
        return outcome

    def _evaluation(self, stretch, values):
        """Show the held-out trials, from the state of training."""
        done, samples, state = self.before + self.log.trials, stretch.samples, self.state
        trial_keys = keys(self.seed, EVALUATION, done, np.arange(len(samples)))
        outcomes = []
        for first in range(0, len(samples), self.shape.rows):
            part = slice(first, first + self.shape.rows)
            outcomes.append(self._shown(samples[part], False, done, trial_keys[part], state,
                                        values))
            state = outcomes[-1].state
        self.evaluated = state
        cost = np.concatenate([outcome.cost for outcome in outcomes])
        rates, weights = {}, {}
        for name, value in state.items():
            owner, variable = name.split(".")
            if variable == "count":
                spikes = float(np.mean(value - self.state[name]))
                rates[owner] = spikes / (len(samples) * float(self.task.duration))
            elif name in self.kept:
                weights[name] = value
        return Evaluation(self.log.trials, samples, np.concatenate([x.decision for x in outcomes]),
                          cost.sum(axis=1), rates, weights)

    def _check_finite(self, chunk, outcome, plastic):
        """Stop when a value is not finite; finds the trial by running parts again."""
        name = not_finite(outcome.state)
        if name is None and np.isfinite(outcome.decision).all():
            return
        done = self.log.trials
        when = (f"in trial {done + self._first_bad(chunk, name)}" if plastic
                else f"in the evaluation after trial {done}")
        values = outcome.state[name] if name else outcome.decision
        raise stopped(name or "readout.decision", values, when,
                      "" if not done and self._fails_without_learning(chunk) else "eta, eta_o")

    def _fails_without_learning(self, chunk):
        """Whether a chunk leaves what is not finite although every eta is 0."""
        outcome = self.engine.run(replace(chunk, constants=without_learning(chunk.constants)))
        return not_finite(outcome.state) is not None or not np.isfinite(outcome.decision).all()

    def _first_bad(self, chunk, name):
        """Number within a chunk of the first trial after which a value is not finite.

        What a lazy weight is owed may be so first.
        """
        low, high = 0, chunk.trials
        while name is not None and high - low > 1:
            middle = (low + high) // 2
            tried = self.engine.run(replace(chunk, trials=middle))
            if not_finite(tried.state) is None:
                low = middle
            else:
                high = middle
        return high
