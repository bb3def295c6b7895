"""The rate engine as training drives it: batch by batch, with checkpoints."""

import math
import resource
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from bioopzo.datasets.augmentation import augmented, check_fits
from bioopzo.engines.rate import settings as engine_settings
from bioopzo.engines.rate.devices import Placement, gathered
from bioopzo.engines.rate.engine import train_together
from bioopzo.engines.rate.feed import Masks, presented
from bioopzo.engines.rate.settings import Settings, learning_rate, open_engine
from bioopzo.errors import InputError, ModelWarning, NonFiniteError
from bioopzo.measures.evaluation import batch_of, on_batches
from bioopzo.measures.recorded import on_batch
from bioopzo.model import Model
from bioopzo.network.connections import image_of
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training.checkpoint import (
    checkpoint_identity,
    checkpoint_path,
    described_settings,
    resume,
    write_checkpoint,
)
from bioopzo.training.guards import not_finite, stopped, warn_of_rates
from bioopzo.training.log import Evaluation, Log
from bioopzo.training.plan import Evaluations, Plan, Stretch, planned
from bioopzo.training.start import (
    initial_weights,
    learning_rates,
    note_start,
    scheduled,
    scheduled_names,
    taken_over,
    without_learning,
)
from bioopzo.training.tuned import note_untuned
from bioopzo.training.watch import Watch

#: Batches that are run in one call at most, what their inputs may weigh, and how long they take.
CALL_BATCHES, CALL_BYTES, CALL_S = 512, 3e7, 1.0
#: Neurons that fire in a larger share of the steps before they learn are said to do so.
MOST = 0.8
#: After so many batches every weight that the text changes should have been asked to.
SETTLED = 10
#: Weights are kept at every evaluation where all of them together stay below this.
SNAPSHOT_BYTES = 50e6


def settings(backend: None = None, lazy: bool = True, **given: Any) -> Settings:
    """The `Settings` of the engine; `InputError` for any others."""
    if backend is not None:
        raise InputError("backend belongs to the spiking engine; the rate engine has device= and "
                         "compiled=")
    chosen = engine_settings.settings(**given)
    if chosen.checkpoint is not None:
        chosen = replace(chosen, checkpoint=checkpoint_path(chosen.checkpoint))
    return chosen


def plan(task: Task, split: str, trials: int | None, epochs: int | None, evaluations: Evaluations,
         evaluation_trials: int | None, chosen: Settings) -> Plan:
    """The `Plan` of a run of whole batches, as many as fit the task by default."""
    Placement(chosen.device, chosen.devices)  # says what is not there
    found = planned(task, split, trials, epochs, evaluations, chosen.batch, evaluation_trials)
    if found.batch % chosen.devices:
        raise InputError(f"batch={found.batch} does not divide over devices={chosen.devices}: give "
                         f"batch={max(1, found.batch // chosen.devices) * chosen.devices}")
    return found


def fitted(model: Model, task: Task, chosen: Settings) -> Model:
    """The model with the neuron that the activity asks for; `InputError` for what does not fit.

    Values that the user gave of a noise that goes are told in a `ModelWarning`.
    """
    check_fits(chosen.augment or {}, image_of(model.layout) if model.layout else None)
    if chosen.activity == "deterministic":
        silent = model.without_noise()
        if gone := sorted(model.given.keys() - silent.given.keys()):
            warnings.warn("activity 'deterministic' takes the noise out of the neuron, and nothing "
                          f"reads {', '.join(gone)} any more; psi has the width 1/4 there, unless "
                          "surrogate= or an edit gives another", ModelWarning, stacklevel=2)
        return silent
    return model


def backend(chosen: Settings, plan: Plan, model: Model, task: Task) -> str:
    """The name of the back end: this engine has one."""
    return "rate"


def description(task: Task, plan: Plan, chosen: Settings) -> dict[str, Any]:
    """What else a run's `meta` says of this engine."""
    return {"engine": "rate", "epochs": plan.epochs, "task_digest": task.digest,
            "settings": described_settings(replace(chosen, batch=plan.batch))}


def shuffled(seed: int) -> Callable[[int], np.random.Generator]:
    """The generator of an epoch's order: that of each epoch is its own, so any can be taken up."""
    return lambda epoch: np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7, epoch)))


class Driver:
    """An engine with its weights; `run` takes it through a batch or an evaluation.

    Trials of an evaluation are padded to as many as the last one shows, so that one program is
    compiled; with `brief` those before it have their own, where nothing in it is random.
    """

    brief = False

    def __init__(self, run: Run, plan: Plan, chosen: Settings, seed: int, log: Log,
                 announce: Callable[[str], object] | None = None, start: Run | None = None,
                 watch: Watch | None = None):
        begin = time.perf_counter()
        self.model, self.task, self.plan, self.seed = run.model, run.task, plan, seed
        self.log, self.chosen = log, replace(chosen, batch=plan.batch)
        self.engine = open_engine(self.model, self.task, self.chosen, seed)
        self.inputs, self.targets = presented(self.task)
        self.masks = Masks(self.task)
        self.taken: dict[str, np.ndarray] = {}
        if start is not None:
            self.taken, words = taken_over(start, self.model, self.engine.assembly.roles,
                                           {**self.engine.weights, **self.engine.shared})
            note_start(run, start, self.taken, words)
        self._begin(self.engine)
        self.engine.batches = run.meta.get("trials_before", 0) // plan.batch
        a_trial = 4 * self.task.n_in * (self.task.steps if self.task.in_time else 1)
        self.most = int(np.clip(CALL_BYTES // (a_trial * plan.batch), 1, CALL_BATCHES))
        # Batches a call: a program is left about once a second, for Ctrl-C and a bar. Processes
        # that share the batches make the same calls.
        self.in_processes = jax.process_count() > 1
        self.pace = min(16, self.most) if self.in_processes else 1
        self.room = room_for(plan, self.most)
        optimizer = self.engine.optimizer
        forms = {name: synapse.form for name, synapse in self.engine.assembly.synapses.items()
                 if synapse.form}
        run.meta.update(description(self.task, plan, chosen), learning_rates=learning_rates(
                            self.model, optimizer.parameters.get("rate"), self.chosen.falls),
                        build_s=round(time.perf_counter() - begin, 3), forms=forms,
                        precision=self.chosen.precision)
        if "rate" in optimizer.parameters:
            run.meta["untuned"] = []  # its rate is a setting, not a parameter of the model
        else:
            note_untuned(run, announce)
        self.identity = checkpoint_identity(run.meta, plan, watch)
        self.done = resume(self.chosen.checkpoint, self.engine, log, self.identity)
        self.costs, self.batches = 0.0, 0
        self.watch = watch

    def _begin(self, engine):
        """Give an engine the weights that training begins with."""
        weights = np.random.default_rng(np.random.SeedSequence(self.seed).spawn(2)[1])
        engine.put(initial_weights(self.model, weights))
        engine.put(self.taken)

    def stretches(self) -> Iterator[Stretch]:
        """What is left of the plan, in calls of a second or so."""
        return self.plan.stretches(shuffled(self.seed), lambda: self.pace,
                                   start=self.done if self.log.evaluations else None)

    def run(self, stretch: Stretch) -> None:
        """Learn from some batches; or evaluate, and write a checkpoint."""
        for part in self._cut(stretch):
            problem, = run_together([self], [part])
            if problem is not None:
                raise problem

    def _cut(self, stretch):
        """The parts of a stretch, each of which begins with the batch to be recorded, if any."""
        if self.watch is None or not stretch.plastic:
            yield stretch
            return
        size = self.plan.batch
        numbers = self.watch.trials // size - self.log.trials // size
        count = len(stretch.samples) // size
        cuts = sorted({0, count, *(int(k) for k in numbers if 0 <= k < count)})
        for first, stop in pairwise(cuts):
            part = replace(stretch, samples=stretch.samples[first * size:stop * size])
            if first in numbers:
                self._record(self.watch, part.samples[:size])
            yield part

    def _record(self, watch, samples):
        """Record the batch that comes next, of which some trials are asked for."""
        inputs, targets, moving, rates, masks = self.asked(Stretch(samples, True, 0.0))
        trials = self.log.trials + np.arange(len(samples))
        wanted = np.isin(trials, watch.trials)
        values = on_batch(self.engine, watch.chosen, inputs[0], targets[0],
                          None if masks is None else masks[0], True,
                          {key: value[0] for key, value in moving.items()},
                          None if rates is None else rates[0])
        watch.keep(trials[wanted], samples[wanted], [one[wanted] for one in values])

    def evaluate(self, stretch: Stretch) -> None:
        """Show the held-out trials, and write a checkpoint."""
        if self.done:
            self._check_finite()
        found = self._evaluation(stretch.samples)
        if not self.done:
            warn_of_rates(found.rates, MOST / float(self.task.dt), bool(self.model.layout))
        self.log.evaluated(found)
        self.costs, self.batches = 0.0, 0
        write_checkpoint(self.chosen.checkpoint, self.engine, self.log, self.done, self.identity)

    def final(self) -> dict[str, np.ndarray]:
        """The weights, and what else is kept from batch to batch, flat, by name."""
        kept = {**self.engine.weights, **self.engine.shared}
        return {name: np.asarray(value).ravel().copy() for name, value in kept.items()}

    def closing(self) -> dict[str, Any]:
        """What else a run's `meta` says at its end: shapes of the weights, memory."""
        return {"shapes": {key: list(value.shape) for key, value in self.engine.weights.items()},
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}

    def asked(self, stretch: Stretch) -> tuple[Any, ...]:
        """What the engine is given for some batches: inputs, targets, parameters and rates."""
        engine = self.engine
        parts = stretch.samples.reshape(-1, self.plan.batch)
        shares = (self.done + np.arange(len(parts))) / self.plan.total  # whatever the pace of calls
        own = engine.optimizer.has_rate
        rates = [learning_rate(engine.optimizer, self.chosen.falls, share) for share in shares]
        series = [scheduled(engine.constants, self.model, share, own) for share in shares]
        moving = {key: [values[key] for values in series]
                  for key in scheduled_names(engine.constants, self.model, own)}
        shown = [self._augmented(self.inputs[part], self.done + k)
                 for k, part in enumerate(parts)]
        return (np.stack(shown),
                np.stack([self.targets[part] for part in parts]),
                moving, None if None in rates else rates, self.masks[parts])

    def _augmented(self, inputs, number):
        """The inputs of batch `number`, with what the user asks to be done to images."""
        if self.chosen.augment is None:
            return inputs
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(8, number)))
        return augmented(inputs, image_of(self.model.layout), self.chosen.augment, rng)

    def learned(self, stretch: Stretch, reads: np.ndarray) -> None:
        """Take down what some batches came to; stop where that is not finite.

        `reads` (batches, 2, batch, readouts) are decisions and costs.
        """
        losses = reads[:, 1].astype(float).sum(axis=2)
        self.log.learned(stretch.samples, reads[:, 0].reshape(len(stretch.samples), -1),
                         losses.ravel())
        costs = losses.mean(axis=1)
        if not np.isfinite(costs).all():
            self._check_finite()
            first = self.done + int(np.flatnonzero(~np.isfinite(costs))[0])
            raise NonFiniteError(f"the loss became {costs[first - self.done]} in batch {first + 1} "
                                 f"of {self.plan.total}, within {self.log.trials} trials")
        for cost in costs:  # one after the other: the same sum whatever the pace of calls
            self.costs, self.batches = self.costs + float(cost), self.batches + 1
        settled = self.done < SETTLED <= self.done + len(costs)
        self.done += len(costs)
        if settled and not self.engine.each_step:
            _warn_where_nothing_learns(self.engine)

    def _evaluation(self, members):
        """Accuracy, loss and rates on held-out trials, plasticity and perturbation off."""
        most = members if self.brief and self.engine.machines[False].quiet else self.plan.held_out
        size = batch_of(self.task, len(most), self.chosen.devices)
        decision, losses, rates = on_batches(self.engine, self.task, self.inputs, self.targets,
                                             self.masks, members, size)
        loss = float(losses.mean())
        return Evaluation(self.log.trials, members, decision, losses,
                          {name: float(values.mean()) for name, values in rates.items()},
                          self._snapshot(),
                          {"train_loss": self.costs / self.batches if self.batches else loss})

    def _snapshot(self):
        kept = {**self.engine.weights, **self.engine.shared}
        if sum(value.nbytes for value in kept.values()) * 12 >= SNAPSHOT_BYTES:
            return {}
        return {key: np.asarray(value).ravel().copy() for key, value in kept.items()}

    def _check_finite(self):
        """Stop with the name of the first value that is not finite."""
        engine = self.engine
        state = {key: gathered(value) for key, value in {
            **engine.weights, **engine.shared, **engine.state}.items()}
        name = not_finite(state)
        if name:
            rates = "rate" if engine.optimizer.has_rate else "eta, eta_o"
            raise stopped(name, state[name], f"within {self.log.trials} trials",
                          "" if self._fails_without_learning() else rates)

    def _fails_without_learning(self):
        """Whether the first batch leaves what is not finite although every eta is 0."""
        engine = open_engine(self.model, self.task, self.chosen, self.seed)
        self._begin(engine)
        engine.constants = without_learning(engine.constants)
        _, part = next(self.plan.batches(shuffled(self.seed)))
        masks = self.masks[part[None]]
        engine.train(self.inputs[part][None], self.targets[part][None], masks=masks)
        return not_finite({key: gathered(value) for key, value in {
            **engine.weights, **engine.shared, **engine.state}.items()}) is not None


def room_for(plan: Plan, most: int) -> int:
    """Batches that a program of training has room for: those between two evaluations, `most`.

    A power of 8, so that plans of different length share programs; what is empty costs time.
    """
    longest = max(stop - first for first, stop in pairwise(plan.marks))
    return min(most, 8 ** max(1, math.ceil(math.log(longest, 8) - 1e-9)))


def side_by_side(plan: Plan, chosen: Settings) -> bool:
    """Whether runs of one text are run as one program: as asked for, or where it is faster.

    On a CPU products for several networks at once are slower than one after the other, but for
    batches of one trial.
    """
    if chosen.together is not None:
        return chosen.together
    place = Placement(chosen.device, chosen.devices)
    return chosen.compiled and chosen.devices == 1 and (
        plan.batch == 1 or place.found[0].platform == "gpu")


def alone_on_its_device(engine: str, given: Mapping[str, Any]) -> bool:
    """Whether the runs of an `engine` with the settings `given` share one accelerator.

    It is one process then that has it.
    """
    if engine != "rate":
        return False
    chosen = settings(**{name: value for name, value in given.items() if name != "checkpoint"})
    return Placement(chosen.device, chosen.devices).found[0].platform != "cpu"


def group_of(driver: Driver) -> tuple[Any, ...] | None:
    """What runs have in common that can run as one program; None for one that runs alone."""
    if driver.watch is not None or not side_by_side(driver.plan, driver.chosen):
        return None
    engine = driver.engine
    moving = scheduled_names(engine.constants, driver.model, engine.optimizer.has_rate)
    return (engine.identity, driver.plan.batch, driver.plan.marks, driver.done,
            bool(driver.log.evaluations), driver.chosen.falls, frozenset(moving))


def run_together(drivers: Sequence[Driver], stretches: Sequence[Stretch]
                 ) -> list[Exception | None]:
    """Run a stretch of several runs of one program that are equally far.

    Returns what ended each of them, None where nothing did.
    """
    begin = time.perf_counter()
    reads: list[Any] = [None] * len(drivers)
    if stretches[0].plastic:
        reads = train_together(
            [driver.engine for driver in drivers],
            [driver.asked(stretch) for driver, stretch in zip(drivers, stretches)],
            max(1, min(drivers[0].room, drivers[0].most // len(drivers))))
        most = max(1, drivers[0].most // len(drivers))
        pace = CALL_S / max(time.perf_counter() - begin, 1e-3) * len(reads[0])
        for driver in drivers:
            driver.pace = driver.pace if driver.in_processes else int(np.clip(pace, 1, most))
    return [_problem(driver, stretch, read)
            for driver, stretch, read in zip(drivers, stretches, reads)]


def _problem(driver, stretch, reads):
    """What is wrong with a run after a stretch, None where nothing is."""
    try:
        driver.learned(stretch, reads) if stretch.plastic else driver.evaluate(stretch)
    except Exception as problem:
        return problem
    return None


def _warn_where_nothing_learns(engine):
    """Say it when the text changes weights, but nothing has asked them to change."""
    asked = {node.target for node in engine.program.changes
             if node.kind == "change" and node.target.endswith(".w")}
    still = sorted(asked - engine.moved)
    if still:
        warnings.warn(f"{', '.join(still)}: no error or reward has reached these weights. With "
                      "activity='rates', what compares a spike with its chance (REINFORCE) is "
                      "always zero: use activity='spikes'", stacklevel=6)
